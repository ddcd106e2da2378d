"""ViT on CIFAR-100 as in seed 004: width 192, post-norm, patch 4 or 8, 4 or 8 layers.

python -m vitjax.main --config=configs/vit_cifar100.py:4p4l --workdir=runs/cifar100 \
    --config.data.data_dir=DIR

Published accuracy (the best of 50 epochs on test): 4p4l 43.9, 4p8l 44.6, 8p4l 37.9, 8p8l 37.7 %.
The seed trains on all 50,000 images and selects on test; here a tenth of train is the validation
split (--config.data.valid_fraction=0 trains on all and takes the last epoch).
"""

from ml_collections import ConfigDict

from vitjax.config import choose_row, default

ROWS = {"4p4l": (4, 4), "4p8l": (4, 8), "8p4l": (8, 4), "8p8l": (8, 8)}  # patch size, layers


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the row `arg`, a key of ROWS."""
    patch_size, num_layers = choose_row(arg, ROWS, "row")
    config = default("vit")
    config.num_epochs = 50
    config.model.update(
        patch_size=patch_size,
        num_layers=num_layers,
        hidden_dim=192,
        mlp_dim=384,
        num_heads=4,
        embedding_std=0.0,
        norm="post",
        final_norm=False,
        clone_layers=True,
        kernel_init="torch_linear",
        qkv_init="xavier_uniform",
        out_init="torch_linear_zero_bias",
        head_hidden_dims=(384, 192),
        head_activation="relu",
        head_activate_logits=True,
        embedding_dropout_rate=0.2,
        attention_dropout_rate=0.2,
        mlp_dropout_rate=0.2,
        dropout_rate=0.2,
        head_dropout_rate=0.2,
    )
    config.data.update(name="cifar100", batch_size=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    config.loss.label_smoothing = 0.1
    config.optim.update(name="adamw", learning_rate=5e-4, weight_decay=5e-2)
    config.patience = 10
    return config
