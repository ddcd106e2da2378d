"""Linformer on Galaxy Zoo 2 as in seed 003: 8 classes, central 224x224 pixels.

python -m vitjax.main --config=configs/linformer_galaxy_zoo2.py:arXiv --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds gz2_train.csv, gz2_valid.csv, gz2_test.csv and images/GALAXYID.jpg. Published test
accuracy of row arXiv: 80.55 % (stopped by a disconnection at epoch 54).
"""

from ml_collections import ConfigDict

from vitjax.config import choose_row, default, galaxy_zoo2

ROWS = {"arXiv": dict(patch_size=28, num_layers=12, hidden_dim=128, k_dim=64, num_heads=8)}


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the row `arg`, a key of ROWS."""
    config = galaxy_zoo2(default("linformer"))
    config.model.update(choose_row(arg, ROWS, "row"))
    config.model.update(
        mlp_dim=4 * config.model.hidden_dim,
        embedding_std=1.0,
        attention_dropout_rate=0.1,
        mlp_dropout_rate=0.1,
    )
    return config
