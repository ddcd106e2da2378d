"""ViT Light of seed 000: 1,994 parameters, on MNIST or Fashion-MNIST, 5 epochs, batch 32.

python -m vitjax.main --config=configs/vit_light.py:mnist --workdir=runs/light \
    --config.data.data_dir=DIR

The seed's best on Fashion-MNIST is 78.59 % with this batch size and learning rate. Its code is not
published: the design is the one of REPRODUCTION row 4.2 (A), which has its parameter count.
"""

from ml_collections import ConfigDict

from vitjax.config import choose_row, default

LEARNING_RATES = {"mnist": 2e-3, "fashion_mnist": 1e-2}  # the first is the default


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the data set `arg`, a key of LEARNING_RATES."""
    learning_rate = choose_row(arg, LEARNING_RATES, "data set")
    config = default("vit")
    config.num_epochs = 5
    config.model.update(
        patch_size=4,
        hidden_dim=8,
        num_layers=2,
        num_heads=2,
        mlp_dim=32,
        stem="linear",
        position_embedding="sincos",
        kernel_init="torch_linear",
    )
    config.data.update(name=arg or "mnist", batch_size=32)
    config.optim.update(name="adam", learning_rate=learning_rate)
    return config
