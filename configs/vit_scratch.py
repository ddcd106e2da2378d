"""The comparison ViT of seed 000 on five small data sets, as its repository trains it.

python -m vitjax.main --config=configs/vit_scratch.py:cifar10 --workdir=runs/scratch \
    --config.data.data_dir=DIR

Published accuracy (best or last epoch on test, 200 epochs, MNIST 100): mnist 99.5, fashion_mnist
92.3, svhn 96.2, cifar10 86.3, cifar100 59.6. Here validation is carved from train instead.
"""

from typing import NamedTuple

from ml_collections import ConfigDict

from vitjax.config import choose_row, default


class Row(NamedTuple):
    """What differs between the data sets."""

    tfds_name: str
    hidden_dim: int
    num_epochs: int
    crop_padding: int
    horizontal_flip: bool
    rand_augment_ops: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


_HALF = (0.5,)
ROWS = {
    "mnist": Row("mnist", 64, 100, 2, False, 0, _HALF, _HALF),
    "fashion_mnist": Row("fashion_mnist", 64, 200, 2, True, 0, _HALF, _HALF),
    "cifar10": Row(
        "cifar10", 128, 200, 4, True, 2, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    ),
    "cifar100": Row(
        "cifar100", 128, 200, 4, True, 2, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    ),
    "svhn": Row(
        "svhn_cropped", 128, 200, 2, False, 0, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
    ),
}


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the data set `arg`, a key of ROWS."""
    row = choose_row(arg, ROWS, "data set")
    config = default("vit")
    config.num_epochs = row.num_epochs
    config.model.update(
        patch_size=4,
        hidden_dim=row.hidden_dim,
        num_layers=6,
        num_heads=4,
        mlp_dim=2 * row.hidden_dim,
        position_on_class_token=False,
        kernel_init="trunc_normal",
        head_hidden_dims=(row.hidden_dim,),
        head_activation="tanh",
        embedding_dropout_rate=0.1,
        dropout_rate=0.1,
    )
    config.data.update(
        name=row.tfds_name, batch_size=128, drop_remainder=True, mean=row.mean, std=row.std
    )
    config.data.augment.update(
        crop_padding=row.crop_padding,
        horizontal_flip=row.horizontal_flip,
        rand_augment_ops=row.rand_augment_ops,
    )
    config.optim.update(name="adamw", learning_rate=5e-4, weight_decay=1e-3)
    config.schedule.update(
        name="cosine", warmup_epochs=10.0, warmup_factor=0.1, end_factor=0.02, per_epoch=True
    )
    return config
