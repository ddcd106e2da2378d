"""ViT on CIFAR-100 as in seed 004: width 192, post-norm, patch 4 or 8, 4 or 8 layers.

python -m vitjax.main --config=configs/vit_cifar100.py:4p4l --workdir=runs/cifar100 \
    --config.data.data_dir=DIR

Published accuracy (the best of 50 epochs on test): 4p4l 43.9, 4p8l 44.6, 8p4l 37.9, 8p8l 37.7 %;
of later runs with 12 layers and 6 heads, named by width and MLP width: 4p12l-192-384 39.5,
4p12l-192-768 42.0, 4p12l-384-768 41.1, 4p12l-384-1536 43.7 %.
The seed trains on all 50,000 images and selects on test; here a tenth of train is the validation
split (--config.data.valid_fraction=0 trains on all and takes the last epoch).

The seed's code, as it was read, ends in a ReLU and dropout on the logits. That costs half of the
classes, which hardly goes with the published figures, so that it is off here; to try it, set
--config.model.head_activate_logits=True (vitjax/docs/recipes.md).

Measured on two CPU cores, 8p4l with seed 0: 0.399 on test, 0.406 on validation; with the ReLU 0.158
on validation after 20 epochs, where it was stopped. The other rows were not run yet.

4p4l-recipe trains the same network otherwise (vitjax/docs/recipes.md). 8p4l-recipe has 0.523 on
test with seed 0, 0.526 on validation; those of the others were not run yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, small_images_recipe, split_recipe


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    config = default("vit")
    arg, is_recipe = split_recipe(arg)
    apply_row(config, "vit_cifar100", arg or "4p4l")
    config.model.update(
        embedding_std=0.0,
        norm="post",
        final_norm=False,
        clone_layers=True,
        kernel_init="torch_linear",
        qkv_init="xavier_uniform",
        out_init="torch_linear_zero_bias",
        head_activation="relu",
        embedding_dropout_rate=0.2,
        attention_dropout_rate=0.2,
        mlp_dropout_rate=0.2,
        dropout_rate=0.2,
        head_dropout_rate=0.2,
    )
    config.data.update(name="cifar100", mean=(0.5,) * 3, std=(0.5,) * 3)
    config.loss.label_smoothing = 0.1
    config.optim.update(name="adamw", weight_decay=5e-2)
    config.patience = 10
    if is_recipe:
        small_images_recipe(config, num_epochs=50)
        config.data.augment.policy = ""  # CutMix alone is much for so few epochs
        config.optim.update(name="muon", learning_rate=5e-3, decay_mask="all")
        config.model.update(embedding_std=0.02, clone_layers=False)
    return config
