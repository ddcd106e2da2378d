"""ViT on scikit-learn's 1,797 handwritten digits (8x8 pixels): the default run, no download.

python -m vitjax.main --config=configs/vit_digits.py --workdir=runs/digits
"""

from ml_collections import ConfigDict

from vitjax.config import default


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the run."""
    if arg:
        raise ValueError(f"configs/vit_digits.py takes no argument but debug, not {arg!r}")
    config = default("vit")
    config.num_epochs = 100
    config.model.update(patch_size=2, num_layers=4, hidden_dim=64, mlp_dim=128, num_heads=4)
    config.data.update(name="digits", batch_size=64)
    config.data.augment.crop_padding = 1
    config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=1e-2)
    config.schedule.update(name="cosine", warmup_epochs=5.0)
    return config
