"""ViT on Galaxy Zoo 2 as in seed 003: 8 classes, central 224x224 pixels, best by validation.

python -m vitjax.main --config=configs/vit_galaxy_zoo2.py:110421 --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds gz2_train.csv, gz2_valid.csv, gz2_test.csv and images/GALAXYID.jpg. Published test
accuracy of row 110421: 81.66 %.
"""

from ml_collections import ConfigDict

from vitjax.config import choose_row, default, galaxy_zoo2

ROWS = {"110421": dict(patch_size=16, num_layers=8, hidden_dim=256, mlp_dim=64, num_heads=8)}


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the row `arg`, a key of ROWS."""
    config = galaxy_zoo2(default("vit"))
    config.model.update(choose_row(arg, ROWS, "row"))
    config.model.update(
        head_dim=64,
        qkv_bias=False,
        embedding_std=1.0,
        embedding_dropout_rate=0.1,
        mlp_dropout_rate=0.1,
        dropout_rate=0.1,
    )
    return config
