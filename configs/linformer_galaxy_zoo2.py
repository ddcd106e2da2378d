"""Linformer on Galaxy Zoo 2 as in seed 003: 8 classes, central 224x224 pixels.

python -m vitjax.main --config=configs/linformer_galaxy_zoo2.py:arXiv --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds the label files and images, or the set prepared (vitjax/docs/galaxy_zoo2.md). The argument
is any row of the seed's Linformer tables (`python -m vitjax.published --seed=003` lists them;
123021C stands for #123021C#). Published test accuracy of arXiv, the default: 80.55 % (stopped by a
disconnection at epoch 54); of 010522B, the best by validation: 81.21 %.

Not run here on the photographs yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, galaxy_zoo2


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    config = galaxy_zoo2(default("linformer"))
    row = apply_row(config, "linformer", arg or "arXiv")
    config.model.update(
        mlp_dim=4 * row["dim"],
        embedding_std=1.0,
        attention_dropout_rate=row["dropout"],
        mlp_dropout_rate=row["dropout"],
    )
    return config
