"""Swin with published weights on CIFAR-100 as in seed 004: the head alone learns.

python -m vitjax.main --config=configs/swin_cifar100.py:swin-small --workdir=runs/swin \
    --config.data.data_dir=DIR

Published accuracy (the best of 5 epochs on test): swin-tiny, the default, 54.29 %, and 46.64 % at
the learning rate of swin-tiny-lr2e-5; swin-small 69.90 %. The report calls swin-small "large".
76,900 parameters learn. Give a file with --config.finetune.weights=FILE where the hub cannot be
reached. A tenth of train is the validation split.

Not run here with the real weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row
from vitjax.published.ledger import find

SIZES = {"tiny": "swin_t", "small": "swin_s"}


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    name = arg or "swin-tiny"
    size = SIZES[find("swin", name).hyperparameters["variant"]]
    config = default(size)
    apply_row(config, "swin", name)
    config.data.update(
        name="cifar100", input_size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    config.loss.label_smoothing = 0.1
    config.finetune.update(weights=f"{size}_in1k", train_only="head")
    return config
