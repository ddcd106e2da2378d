"""ViT-Base with published weights, fine-tuned on MNIST: what seed 002 names as future work.

python -m vitjax.main --config=configs/vit_base_mnist.py --workdir=runs/vit_base \
    --config.data.data_dir=DIR

Digits become RGB and 224 pixels wide, as the weights expect. No seed publishes this run. Give a
file with --config.finetune.weights=FILE where the hub cannot be reached.

Not run here with the real weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import choose_row, fine_tuned_vit_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config; there is one row, which needs no argument."""
    choose_row(arg, {"vit_b": None}, "row")
    config = fine_tuned_vit_base(default("vit_b"))
    config.data.update(name="mnist", channels=3)
    config.num_epochs = 3
    return config
