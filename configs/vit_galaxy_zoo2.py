"""ViT on Galaxy Zoo 2 as in seed 003: 8 classes, central 224x224 pixels, best by validation.

python -m vitjax.main --config=configs/vit_galaxy_zoo2.py:110421 --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds the label files and images, or the set prepared (vitjax/docs/galaxy_zoo2.md). The argument
is any row of the seed's ViT tables (`python -m vitjax.published --seed=003` lists them; 12xx21
stands for 12??21). Published test accuracy of 110421, the default: 81.66 %.

Not run here on the photographs yet; on drawn galaxies a small ViT learns with it.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, galaxy_zoo2


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    config = galaxy_zoo2(default("vit"))
    row = apply_row(config, "vit", arg or "110421")
    config.model.update(
        head_dim=64,
        qkv_bias=False,
        embedding_std=1.0,
        mlp_dropout_rate=row["dropout"],
        dropout_rate=row["dropout"],
    )
    return config
