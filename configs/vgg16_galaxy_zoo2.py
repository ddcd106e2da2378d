"""VGG-16 with batch norm and published weights on Galaxy Zoo 2, a baseline of seed 003.

python -m vitjax.main --config=configs/vgg16_galaxy_zoo2.py --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds the label files and images, or the set prepared (vitjax/docs/galaxy_zoo2.md). Published
test accuracy: 85.22 %. Give a file with --config.finetune.weights=FILE where the hub cannot be
reached.

The learning rate and its schedule are not published; they are those of the seed's ResNet-50. All
parameters learn, as there. Not run here on the photographs and weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, choose_row, galaxy_zoo2


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row, VGG16bn."""
    config = galaxy_zoo2(default("vgg16_bn"))
    apply_row(config, "vgg16_bn", choose_row(arg, {"VGG16bn": "VGG16bn"}, "row"))
    config.data.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # of ImageNet
    config.optim.learning_rate = 5e-5
    config.schedule.update(step_size=10, gamma=0.1)
    config.finetune.weights = "vgg16_bn_in1k"
    return config
