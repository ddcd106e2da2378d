"""ViT-Base with published weights on Galaxy Zoo 2 as in seed 003.

python -m vitjax.main --config=configs/vit_base_galaxy_zoo2.py:010822B --workdir=runs/galaxy \
    --config.data.data_dir=DIR

DIR holds the label files and images, or the set prepared (vitjax/docs/galaxy_zoo2.md). The argument
is any row of the seed's tables of pretrained ViT-Base (`python -m vitjax.published --seed=003`
lists them), or w1, w2 of its weighted losses. In the rows that are not fine-tuned the head alone
learns (6,152 parameters). Published test accuracy of 010822B, the default: 85.00 %.

The seed says "ViT-Base (HuggingFace)" and no more; here it is google/vit-base-patch16-224-in21k.
Give a file with --config.finetune.weights=FILE where the hub cannot be reached. Of w1 and w2 only
the class weights are stated; the rest is 010822B's.

Not run here on the photographs and weights yet.
"""

from ml_collections import ConfigDict

from vitjax.config import default
from vitjax.experiments import apply_row, galaxy_zoo2


def get_config(arg: str = "") -> ConfigDict:
    """Returns the config of the published row `arg`."""
    config = galaxy_zoo2(default("vit_b"))
    apply_row(config, "vit_base", "010822B")
    row = apply_row(config, "vit_base", arg or "010822B")
    config.data.update(mean=(0.5,) * 3, std=(0.5,) * 3)
    config.model.update(stem="conv", kernel_init="trunc_normal", norm_epsilon=1e-12)
    config.finetune.weights = "vit_b_in21k"
    config.finetune.train_only = "" if row["fine_tune"] else "head"
    return config
