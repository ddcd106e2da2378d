"""What a run is about to do, in words."""

from ml_collections import ConfigDict

from vitjax.data import duplicates
from vitjax.data.dataset import Dataset
from vitjax.machine.host import unused_accelerator
from vitjax.training.distill import sees_otherwise
from vitjax.training.placement import streaming
from vitjax.training.placement.sharding import num_parts
from vitjax.training.setup import Setup


def describe(config: ConfigDict, setup: Setup, about: str = "") -> list[str]:
    """Returns data, model, devices and training, a line each; `about` stands before counts."""
    recipe, devices = setup.recipe, setup.mesh.devices.ravel()
    sizes = ", ".join(f"{len(s.labels):,} {n}" for n, s in setup.dataset.splits.items())
    shape = "x".join(map(str, setup.dataset.image_shape))
    per_device = recipe.batch_size // len(devices)
    parts = num_parts(setup.mesh)
    split = f", large parameters in {parts} parts" if parts > 1 else ""
    learn = setup.num_trained_params
    frozen = f" ({learn:,} learn)" if learn < setup.num_params else ""
    teacher = f", teacher {config.distill.workdir}" if config.distill.workdir else ""
    return [
        f"data      {setup.dataset.name}: {about}{sizes} images of {shape}, "
        f"{recipe.num_classes} classes; {streaming.describe(setup.dataset, setup.streams)}",
        f"model     {config.model_name}: {setup.num_params:,} parameters{frozen}, "
        f"{setup.num_macs:,} MACs per image",
        f"devices   {len(devices)} x {devices[0].device_kind}, computing in "
        f"{recipe.model.dtype}; batch {recipe.batch_size}, {per_device} per device{split}",
        f"training  {config.num_epochs} epochs of {about}{recipe.steps_per_epoch} steps, "
        f"{config.optim.name}, learning rate {config.optim.learning_rate:g} "
        f"({config.schedule.name}), seed {config.seed}{teacher}",
    ]


def warnings(config: ConfigDict, dataset: Dataset, platform: str) -> list[str]:
    """Returns what fits, but is hardly meant, a line each."""
    found = duplicates.warnings(dataset)
    if config.schedule.warmup_epochs > config.num_epochs:
        found.append(
            f"the warm-up of {config.schedule.warmup_epochs:g} epochs is longer than the run: the "
            f"learning rate stays below {config.optim.learning_rate:g}"
        )
    if config.distill.workdir and (difference := sees_otherwise(config)):
        found.append(difference)
    if idle := unused_accelerator(platform):
        found.append(idle)
    return [f"warning   {text}" for text in found]
