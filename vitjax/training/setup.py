"""From a config to plain values (the data set, the recipe, the devices), and to a run's files."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vitjax import data, models
from vitjax.config import check
from vitjax.data import order, stream
from vitjax.data.augment import Augmentation
from vitjax.data.dataset import Dataset
from vitjax.data.statistics import channel_statistics
from vitjax.errors import UserError, raise_all
from vitjax.machine import processes, signals
from vitjax.training import finetune, losses, optim, schedule
from vitjax.training.ahead import memory
from vitjax.training.distill import make_distillation
from vitjax.training.metrics import Metrics
from vitjax.training.placement import streaming
from vitjax.training.placement.sharding import (
    check_batch_size,
    data_shards,
    make_mesh,
    nearest_multiples,
)
from vitjax.training.progress import Say
from vitjax.training.step import Recipe

_OF_THE_EPOCH = (
    "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "step", "epoch",
)  # fmt: skip
_MOST_STEPS = 2**31 - 1  # of the state's int32


class Setup(NamedTuple):
    """What a run works on."""

    dataset: Dataset
    recipe: Recipe
    mesh: Mesh
    schedule: schedule.Schedule
    num_params: int
    num_trained_params: int  # those that learn
    num_macs: int  # of one image
    num_steps: int  # of the whole run
    streams: bool  # whether batches are brought to the devices; else all images lie there
    num_workers: int  # processes that read them; 0: threads


def prepare(config: ConfigDict, say: Say = print) -> Setup:
    """Reads the data and checks that all fits; raises UserError before anything is compiled."""
    mesh = make_mesh(**config.mesh)
    check_options(config, mesh)
    dataset = load(config, say)
    streamed = streaming.streams(config.data.stream, dataset, mesh)
    setup = assemble(config, dataset, mesh, streamed)
    memory.check_state_fits(setup.recipe, mesh)
    return setup


def check_options(config: ConfigDict, mesh: Mesh) -> None:
    """Raises UserError for what is wrong whatever the data are."""
    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise UserError(
            "training computes in at most 32 bits; leave JAX_ENABLE_X64 (jax_enable_x64) out"
        )
    check(config)
    check_batch_size(config.data.batch_size, config.optim.accumulation_steps, data_shards(mesh))
    make_augmentation(config)


def assemble(config: ConfigDict, dataset: Dataset, mesh: Mesh, streamed: bool = False) -> Setup:
    """Returns what a run on `dataset` works on; raises UserError where they do not fit."""
    if streamed:
        stream.check_installed()
    check_data(config, dataset)
    rate = make_schedule(config, len(dataset.splits["train"].labels))
    recipe = make_recipe(config, dataset, *normalisation(config, dataset), rate)
    params = models.abstract_params(recipe.model, recipe.image_shape)
    return Setup(
        dataset=dataset,
        recipe=recipe,
        mesh=mesh,
        schedule=rate,
        num_params=models.num_params(params),
        num_trained_params=models.num_params(finetune.split(params, recipe.train_only)[0]),
        num_macs=models.num_macs(recipe.model, recipe.image_shape),
        num_steps=config.num_epochs * recipe.steps_per_epoch,
        streams=streamed,
        num_workers=config.data.num_workers,
    )


def check_data(config: ConfigDict, dataset: Dataset) -> None:
    """Raises UserError for the options that do not fit the data, all at once."""
    counts = {name: len(split.labels) for name, split in dataset.splits.items()}
    sizes = size_problems(config, dataset.image_shape)
    raise_all(count_problems(config, dataset.name, counts) + sizes)


def count_problems(config: ConfigDict, name: str, counts: Mapping[str, int]) -> list[str]:
    """Returns which options do not fit the numbers of images in the splits of a data set."""
    found = []
    if config.data.batch_size > counts["train"]:
        found.append(
            f"config.data.batch_size={config.data.batch_size} is larger than the train split of "
            f"{counts['train']} images"
        )
    if "test" not in counts:
        found.append(
            f"{name} has no test split and too few images to take one from train; add images to "
            "config.data.data_dir"
        )
    steps = config.num_epochs * max(counts["train"] // config.data.batch_size, 1)
    if steps > _MOST_STEPS:
        found.append(
            f"config.num_epochs={config.num_epochs} makes {steps:,} steps, more than the "
            f"{_MOST_STEPS:,} that can be counted; lower it"
        )
    if config.patience and "valid" not in counts:
        found.append(
            f"config.patience={config.patience} needs a validation split; set it to 0 or raise "
            "config.data.valid_fraction"
        )
    return found


def size_problems(config: ConfigDict, image_shape: tuple[int, int, int]) -> list[str]:
    """Returns which options do not fit images [H, W, C]."""
    padding, side = config.data.augment.crop_padding, min(image_shape[:2])
    if padding < side:
        return []
    return [
        f"config.data.augment.crop_padding={padding} should be below the image size of {side} "
        "pixels"
    ]


def make_recipe(
    config: ConfigDict,
    dataset: Dataset,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    rate: schedule.Schedule,
) -> Recipe:
    """Returns what training computes; numbers of the config may be traced, as in a sweep."""
    dtype = compute_dtype(config.dtype)
    return Recipe(
        model=models.create(config.model_name, dataset.num_classes, dtype=dtype, **config.model),
        tx=make_optimizer(config, rate),
        loss=make_loss(config, dataset),
        distillation=make_distillation(config, dataset, mean, std, dtype),
        augmentation=make_augmentation(config),
        mean=mean,
        std=std,
        image_shape=input_shape(config.data.input_size, dataset.image_shape),
        num_classes=dataset.num_classes,
        num_examples=len(dataset.splits["train"].labels),
        batch_size=config.data.batch_size,
        eval_batch_size=config.data.eval_batch_size,
        drop_remainder=config.data.drop_remainder,
        accumulation_steps=config.optim.accumulation_steps,
        ema_decay=config.optim.ema_decay,
        skip_nonfinite=config.optim.skip_nonfinite,
        train_only=config.finetune.train_only,
    )


def make_augmentation(config: ConfigDict) -> Augmentation:
    """Returns what the config changes images by; raises UserError for what does not fit."""
    augmentation = Augmentation(**config.data.augment)
    batch_size, repeats = config.data.batch_size, augmentation.repeats
    if batch_size % repeats:
        raise UserError(
            f"config.data.batch_size={batch_size} is not divisible by "
            f"config.data.augment.repeats={repeats}; nearest that fit: "
            f"{nearest_multiples(batch_size, repeats)}"
        )
    return augmentation


def input_shape(input_size: int, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns what the model sees of images [H, W, C]: as they are, or `input_size` squared."""
    return (input_size, input_size, image_shape[-1]) if input_size else image_shape


def load(config: ConfigDict, say: Say) -> Dataset:
    """Reads the data set that the config names."""
    read = functools.partial(
        data.load,
        **load_options(config),
        decode_up_to=streaming.decode_up_to(config.data.stream),
        cache_dir=config.data.cache or None,
        on_status=say,
    )
    if config.data.name in data.NAMES:
        return read()
    dataset = None  # of TFDS: the first of several processes prepares it, if need be, for all
    for turn in (True, False):
        with processes.agreed():
            if processes.is_first() is turn:
                with signals.raised():
                    dataset = read()
    assert dataset is not None
    return dataset


def load_options(config: ConfigDict) -> dict[str, Any]:
    """Returns what decides which data are read, as data.load takes it."""
    options = config.data
    return {
        "name": options.name,
        "data_dir": options.data_dir or None,
        "image_root": options.image_root or None,
        "image_size": options.image_size or None,
        "channels": options.channels or None,
        "fit": options.fit,
        "max_examples": options.max_examples or None,
        "label_column": options.label_column,
        "valid_fraction": options.valid_fraction,
        "split_seed": options.split_seed,
    }


def compute_dtype(name: str) -> jnp.dtype:
    """Returns the dtype of the computation; auto is bfloat16 where the devices multiply it fast."""
    if name == "auto":
        name = "bfloat16" if _multiplies_bfloat16(jax.local_devices()[0]) else "float32"
    return jnp.dtype(name)


def _multiplies_bfloat16(device: jax.Device) -> bool:
    """Whether a device has units for bfloat16: a TPU, a GPU unless NVIDIA's before Ampere (8.0)."""
    if device.platform != "gpu":
        return device.platform == "tpu"
    return not re.match(r"[1-7]\.", getattr(device, "compute_capability", ""))  # 7.5: a T4


def make_schedule(config: ConfigDict, num_examples: int) -> schedule.Schedule:
    """Returns the learning rate as a function of the optimiser step."""
    batches = order.num_batches(num_examples, config.data.batch_size, config.data.drop_remainder)
    return schedule.make_schedule(
        learning_rate=config.optim.learning_rate,
        steps_per_epoch=batches,
        num_epochs=config.num_epochs,
        **config.schedule,
    )


def make_optimizer(config: ConfigDict, rate: schedule.Schedule):
    """Returns the optax transformation that the config names."""
    options = config.optim
    return optim.make_optimizer(
        options.name,
        rate,
        weight_decay=options.weight_decay,
        decay_mask=options.decay_mask,
        clip_norm=options.clip_norm,
        rate_factors=rate_factors(config),
        **{name: options[name] for name in optim.OPTIONS},
    )


def rate_factors(config: ConfigDict) -> Callable[[Any], Any] | None:
    """Returns parameters -> factors of the learning rate; None where all are 1."""
    decay, head = config.finetune.layer_decay, config.finetune.head_factor
    if decay == head == 1:
        return None
    return lambda params: finetune.rate_factors(params, decay, head)


def make_loss(config: ConfigDict, dataset: Dataset) -> losses.Loss:
    """Returns the loss that the config names, with its class weights."""
    labels = dataset.splits["train"].labels
    weights = losses.class_weights(config.loss.class_weights, labels, dataset.num_classes)
    return losses.make_loss(config.loss.name, jnp.asarray(weights), config.loss.label_smoothing)


def normalisation(
    config: ConfigDict, dataset: Dataset
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel: the config's, or the train split's."""
    mean, std = tuple(config.data.mean), tuple(config.data.std)
    if not mean and not std:
        mean, std = channel_statistics(dataset.splits["train"].images)
        std = tuple(s or 1.0 for s in std)  # a constant channel
    channels = dataset.image_shape[-1]
    if len(mean) != channels or len(std) != channels or not all(s > 0 for s in std):
        raise UserError(
            f"config.data.mean={mean} and config.data.std={std} should have {channels} number(s) "
            "each, as the images have channels, and std above 0; leave both empty for the train "
            "split's own, or set --config.data.channels"
        )
    return mean, std


def dataset_json(setup: Setup) -> dict[str, Any]:
    """Returns what dataset.json holds."""
    dataset, recipe = setup.dataset, setup.recipe
    teacher = recipe.distillation
    return {
        "name": dataset.name,
        "class_names": dataset.class_names,
        "mean": recipe.mean,
        "std": recipe.std,
        "image_shape": dataset.image_shape,
        "num_examples": {name: len(split.labels) for name, split in dataset.splits.items()},
        "labels": {name: split.digest() for name, split in dataset.splits.items()},
        "pixels": {name: split.digest_of_pixels for name, split in dataset.splits.items()},
        **({} if teacher is None else {"teacher": teacher.checkpoint}),
    }


def eval_json(
    metrics: Metrics,
    best: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    setup: Setup,
    config: ConfigDict,
) -> dict[str, Any]:
    """Returns what eval.json holds: `metrics` on test, after the epoch `best` of the run."""
    return {
        "split": "test",
        **metrics.compute(),
        "num_examples": int(metrics.count),
        "num_params": setup.num_params,
        "num_trained_params": setup.num_trained_params,
        "num_macs": setup.num_macs,
        **{name: best[name] for name in _OF_THE_EPOCH if name in best},
        "num_epochs_run": history[-1]["epoch"],
        "seconds": sum(line["seconds"] for line in history),
        "model_name": config.model_name,
        "data_name": config.data.name,
        "seed": config.seed,
    }
