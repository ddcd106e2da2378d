"""ResNet-50 with published weights on Galaxy Zoo 2, the convolutional baseline of seed 003.

python -m vitjax.main --config=configs/resnet50_galaxy_zoo2.py --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds the label files and images, or the set prepared (vitjax/docs/galaxy_zoo2.md). Published
test accuracy: 85.58 %. Give a file with --config.finetune.weights=FILE where the hub cannot be
reached.

Not run here on the photographs and weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, choose_row, galaxy_zoo2


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row, R50."""
    config = galaxy_zoo2(default("resnet50"))
    apply_row(config, "resnet50", choose_row(arg, {"R50": "R50"}, "row"))
    config.data.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # of ImageNet
    config.finetune.weights = "resnet50_in1k"
    return config
