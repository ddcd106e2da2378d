"""Compact convolutional transformers (CCT, https://arxiv.org/abs/2104.05704) on CIFAR-100.

python -m vitjax.main --config=configs/vit_compact.py:3m --workdir=runs/compact \
    --config.data.data_dir=DIR

Convolutions make the tokens, a learned mean of the tokens is what the head sees. 0.5m, the default,
has the sizes of CCT-4/3x2 and 3m those of CCT-6/3x1, for which the authors publish 70.46 and
76.71 % after 200 epochs. The recipe follows their one of 300 epochs, but shifts and flips images
where that crops them by scale and applies RandAugment, and drops no attention weights. The norm of
an MLP is on its branch alone. Besides, 0.5m has registers (https://arxiv.org/abs/2309.16588) and
3m LayerScale (https://arxiv.org/abs/2103.17239), which CCT has not; whether they help is not known.

Not measured here. For v5e, XLA counts 6 % more cycles for the gradients of two blocks with the
registers of 0.5m. For 3m it would be 55 %: a TPU works on tiles of 128, which 256 tokens fill.
"""

from typing import Any

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import choose_row

SIZES: dict[str, dict[str, Any]] = {
    "0.5m": dict(
        patch_size=4, hidden_dim=128, num_layers=4, num_heads=2, mlp_dim=128, num_registers=4
    ),
    "3m": dict(
        patch_size=2, hidden_dim=256, num_layers=6, num_heads=4, mlp_dim=512, layer_scale=0.1
    ),
}


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the size `arg`."""
    config = default("vit")
    config.num_epochs = 300
    config.model.update(choose_row(arg, SIZES, "size"))
    config.model.update(
        stem="conv3x3",
        pool="attention",
        embedding_std=0.2,
        qkv_bias=False,
        kernel_init="trunc_normal",
        drop_path_rate=0.1,
    )
    config.data.update(name="cifar100", mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761))
    config.data.augment.update(
        crop_padding=4, horizontal_flip=True, mixup_alpha=0.8, cutmix_alpha=1.0
    )
    config.loss.label_smoothing = 0.1
    config.optim.update(name="adamw", learning_rate=6e-4, weight_decay=0.06, decay_mask="kernels")
    config.schedule.update(name="cosine", warmup_epochs=10.0, end_factor=1 / 60)
    return config
