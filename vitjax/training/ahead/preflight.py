"""Looks over a run before its data are read: all problems at once, and how large it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vitjax import config as options
from vitjax import models
from vitjax.data import stream
from vitjax.data.dataset import check_share
from vitjax.data.readers.image_files import ReadOptions
from vitjax.errors import UserError, raise_all
from vitjax.runs.logs import check_installed
from vitjax.training import finetune, losses, setup
from vitjax.training.ahead.description import describe
from vitjax.training.ahead.outline import Outline, check_place, outline
from vitjax.training.distill import as_taught, find_teacher
from vitjax.training.placement import streaming
from vitjax.training.placement.sharding import check_batch_size, make_mesh
from vitjax.training.progress import Say

T = TypeVar("T")

_OF_READING = "data.image_size data.channels data.max_examples data.fit"
_OF_DATA = f"{_OF_READING} data.name data.valid_fraction"


class Preflight(NamedTuple):
    """What is known of a run before its data are read."""

    wrong: list[str]  # of the options
    missing: list[str]  # of the files
    outline: Outline | None  # None: not known before the data are read
    mesh: Mesh | None  # None: config.mesh does not fit the devices
    device_memory: int | None  # bytes of each device; None: unlimited

    @property
    def problems(self) -> list[str]:
        """All that would stop the run."""
        return self.wrong + self.missing

    def setup(self, config: ConfigDict) -> setup.Setup:
        """Returns what the run would work on, with black images, where no option is wrong."""
        assert self.outline is not None
        assert self.mesh is not None
        channels = self.outline.image_shape[-1]
        if not config.data.mean and not config.data.std:  # those of the images, which are not read
            config = ConfigDict(config)
            config.data.update(mean=(0.5,) * channels, std=(0.25,) * channels)
        dataset = self.outline.stand_in()
        if config.distill.workdir:
            dataset = as_taught(dataset, config.distill.workdir)
        streamed = streaming.exceeds(config.data.stream, dataset, self.device_memory)
        return setup.assemble(config, dataset, self.mesh, streamed)

    def lines(self, config: ConfigDict) -> list[str]:
        """Returns what the run would be, a line each, where no option is wrong."""
        assert self.outline is not None
        of_run = self.setup(config)
        steps = config.num_epochs * of_run.recipe.steps_per_epoch
        about = "" if self.outline.exact else "about "
        return [*describe(config, of_run, about), f"in all    {about}{steps:,} steps"]


def report(
    config: ConfigDict,
    devices: Sequence[jax.Device],
    say: Say = print,
    device_memory: int | None = None,
) -> Preflight:
    """Looks over a config and says what it is, as far as that is known; the problems last.

    `device_memory` is that of each device in bytes; None: unlimited.
    """
    found = preflight(config, devices, device_memory)
    if found.outline is None:
        say(f"data      {config.data.name}: how many images there are is known when they are read")
    elif not found.wrong:
        for line in found.lines(config):
            say(line)
    return found


def tell(problems: Sequence[str], say: Say = print) -> None:
    """Says the problems, a line each, or that there are none."""
    for text in problems:
        say(f"problem   {' '.join(text.split())}")
    say(f"{len(problems)} problem{'s' * (len(problems) > 1)}" if problems else "no problem found")


class _Findings:
    """The problems found so far; what needs an option that is wrong itself is not looked at."""

    def __init__(self, of_options: Mapping[str, str]):
        self._wrong = tuple(of_options)
        self.problems = list(of_options.values())

    def of(self, groups: str, check: Callable[[], T]) -> T | None:
        """Returns what `check` gives; None where it, or an option of `groups`, is at fault."""
        if any(key.startswith(tuple(groups.split())) for key in self._wrong):
            return None
        try:
            return check()
        except UserError as error:
            self.problems.append(str(error))
            return None


def check(config: ConfigDict, devices: Sequence[jax.Device]) -> None:
    """Raises a UserError that tells all problems that show before data are read."""
    raise_all(preflight(config, devices).problems)


def preflight(
    config: ConfigDict, devices: Sequence[jax.Device], device_memory: int | None = None
) -> Preflight:
    """Looks over a config for a run on `devices`; reads no data."""
    found = _Findings(options.problems(config))
    data, optim = config.data, config.optim
    mesh = found.of("mesh", lambda: make_mesh(devices, **config.mesh))
    found.of(
        "data.batch_size optim.accumulation_steps",
        lambda: check_batch_size(data.batch_size, optim.accumulation_steps, len(devices)),
    )
    found.of("data.augment data.batch_size", lambda: setup.make_augmentation(config))
    found.of(
        "data.valid_fraction data.split_seed",
        lambda: check_share(data.valid_fraction, data.split_seed),
    )
    found.of(_OF_READING, lambda: _read_options(data))
    found.of("log", lambda: check_installed(**config.log))
    if config.data.stream == "always":
        found.of("data.stream", stream.check_installed)
    found.of("loss", lambda: losses.make_loss(config.loss.name, jnp.ones(1), 0.0))
    if config.distill.workdir:
        found.of("distill", lambda: find_teacher(config.distill.workdir))
    rate = found.of(
        "schedule num_epochs optim.learning_rate data.batch_size",
        lambda: setup.make_schedule(config, num_examples=data.batch_size),
    )
    found.of("optim finetune", lambda: setup.make_optimizer(config, rate or jnp.float32))
    model = found.of("model", lambda: models.create(config.model_name, 2, **config.model))
    known = found.of(_OF_DATA, lambda: outline(data))
    if known is not None:
        _check_data(found, config, known, model is not None)
    files = _Findings({})
    files.of("", lambda: check_place(data))
    wrong = list(dict.fromkeys(found.problems))
    return Preflight(wrong, files.problems, known, mesh, device_memory)


def _read_options(data: ConfigDict) -> ReadOptions:
    return ReadOptions(
        data.image_size or None, data.channels or None, data.fit, data.max_examples or None
    )


def _check_data(found: _Findings, config: ConfigDict, known: Outline, has_model: bool) -> None:
    """Looks for what does not fit the data."""
    sizes = found.of("data.augment", lambda: setup.size_problems(config, known.image_shape))
    found.problems += sizes or []
    if known.exact:
        counts = found.of(
            "data.batch_size num_epochs patience",
            lambda: setup.count_problems(config, known.name, known.counts),
        )
        found.problems += counts or []
    dataset = known.stand_in()
    found.of("loss", lambda: setup.make_loss(config, dataset))
    if config.data.mean or config.data.std:
        found.of("data", lambda: setup.normalisation(config, dataset))
    if has_model:
        found.of("model data.input_size", lambda: _parameters(config, known))


def _parameters(config: ConfigDict, known: Outline) -> Any:
    """Returns the shapes of the parameters that learn."""
    model = models.create(config.model_name, known.num_classes, **config.model)
    image_shape = setup.input_shape(config.data.input_size, known.image_shape)
    params = models.abstract_params(model, image_shape)
    return finetune.split(params, config.finetune.train_only)
