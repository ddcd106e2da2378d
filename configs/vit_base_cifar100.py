"""ViT-Base with published weights, fine-tuned on CIFAR-100.

python -m vitjax.main --config=configs/vit_base_cifar100.py --workdir=runs/vit_base \
    --config.data.data_dir=DIR

All 85,875,556 parameters learn, those of lower blocks more slowly. No seed publishes this run. Give
a file with --config.finetune.weights=FILE where the hub cannot be reached.

Not run here with the real weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import choose_row, fine_tuned_vit_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config; there is one row, which needs no argument."""
    choose_row(arg, {"vit_b": None}, "row")
    config = fine_tuned_vit_base(default("vit_b"))
    config.data.name = "cifar100"
    config.data.augment.update(crop_padding=4, horizontal_flip=True)
    return config
