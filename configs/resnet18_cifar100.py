"""ResNet-18 with published weights on CIFAR-100 as in seed 004: the head alone learns.

python -m vitjax.main --config=configs/resnet18_cifar100.py --workdir=runs/resnet18 \
    --config.data.data_dir=DIR

Published accuracy: 55.99 % (the best of 10 epochs on test; the report prints 56.9). As there, the
51,300 parameters of the head learn while the statistics of batch norm move;
--config.model.norm_statistics=frozen keeps them and trains faster. The seed resizes images to 256
pixels and crops 224; here they are resized to 224. A tenth of train is the validation split.
Give a file with --config.finetune.weights=FILE where the hub cannot be reached.

Not run here with the real weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, choose_row


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row, ResNet-18."""
    config = default("resnet18")
    apply_row(config, "resnet18", choose_row(arg, {"ResNet-18": "ResNet-18"}, "row"))
    config.data.update(
        name="cifar100", input_size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    config.loss.label_smoothing = 0.1
    config.optim.update(name="adamw", weight_decay=5e-2)
    config.finetune.update(weights="resnet18_in1k", train_only="head")
    return config
