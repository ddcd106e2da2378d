"""MLP-Mixer on MNIST as in seed 001: patch 4, width 8, 12 blocks, 240,686 parameters, 12 epochs.

python -m vitjax.main --config=configs/mixer_mnist.py --workdir=runs/mixer \
    --config.data.data_dir=DIR

The argument is any row of the seed (`python -m vitjax.published --seed=001` lists them): an
initialiser, xavier_uniform (the default) to sparse; a loss and an optimiser, cross_entropy-adam to
mse-sgd-wd0.0005; or lr0.01, batch256, epochs100, relu, blocks5, without_norm, with_norm, results.
The seed's best runs reach 0.965 to 0.977 on test. Its text mentions no skip connections and some
rows hint that there were none: --config.model.skip=false leaves them out.

Measured on two CPU cores, in means over three seeds: 0.973 on test with xavier_uniform, 0.972
(sparse) to 0.976 (orthogonal) with the others. With one seed: 0.978 with ReLU, 0.523
(Adadelta) to 0.860 (Adam) with squared errors; vitjax/published/README.md has all.

recipe trains the same network otherwise (vitjax/docs/recipes.md): 0.992 on test, with one seed.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from ml_collections import ConfigDict

from vitjax.config import default, flatten
from vitjax.errors import UserError
from vitjax.experiments import apply_row, muon_recipe, split_recipe

LOSSES = {
    "CrossEntropy": "cross_entropy",
    "cross entropy": "cross_entropy",
    "mean squared error": "mse",
}

INITIALISERS = (
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "trunc_normal",
    "orthogonal",
    "sparse",
)
OPTIMISERS = (("adam", 0.0), ("adadelta", 0.0), ("rmsprop", 0.0), ("sgd", 0.0), ("sgd", 0.0005))


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    config = default("mixer")
    arg, is_recipe = split_recipe(arg)
    row = apply_row(config, "mixer", arg or "xavier_uniform")
    num_tokens = (28 // row["patch_size"]) ** 2
    config.model.update(
        tokens_mlp_dim=row["expansion_factor"] * num_tokens,
        mlp_dim=row["expansion_factor"] * row["dim"],
        stem="linear",
        kernel_init=row["init"].lower().rstrip("_"),
        norm="pre" if row["normalization"] == "with" else "none",
        final_norm=row["normalization"] == "with",
    )
    config.data.name = "mnist"
    config.loss.name = LOSSES[row["loss_function"]]
    if is_recipe:
        _recipe(config)
    return config


def _recipe(config: ConfigDict) -> None:
    """Sets Muon with a cosine schedule and averaged weights, shifts, rotations and smoothing."""
    config.num_epochs = 30
    config.data.augment.update(crop_padding=2, rotation_degrees=10.0)
    config.loss.label_smoothing = 0.1
    muon_recipe(config)


def sweep(name: str = "initialisers") -> Iterator[dict[str, Any]]:
    """Yields initialisers (7 x 5 seeds), losses (and optimisers) or hyperparameters of the seed."""
    if name == "initialisers":
        for init, seed in product(INITIALISERS, range(5)):
            yield {"model.kernel_init": init, "seed": seed}
    elif name == "losses":
        for loss, (optimizer, decay) in product(("cross_entropy", "mse"), OPTIMISERS):
            yield {"loss.name": loss, "optim.name": optimizer, "optim.weight_decay": decay}
    elif name == "hyperparameters":
        base, rows = flatten(get_config()), ("lr0.01", "batch256", "epochs100", "relu", "blocks5")
        for row in rows:
            yield {k: v for k, v in flatten(get_config(row)).items() if v != base[k]}
    else:
        raise UserError(
            f"unknown sweep {name!r}; choose --sweep from initialisers, losses, hyperparameters"
        )
