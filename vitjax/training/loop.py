"""A run from its config to its result."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vitjax.config import default, to_json
from vitjax.data import on_device
from vitjax.errors import UserError
from vitjax.runs import selection
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.logs import Logs, check_installed
from vitjax.runs.run_folder import RunFolder
from vitjax.training import memory
from vitjax.training.diagnose import first_bad_layer
from vitjax.training.initial import LoadWeights, initial_state
from vitjax.training.interrupt import Interrupted, SignalWatch
from vitjax.training.progress import EpochBar, Pace, Say, epoch_line, result_table, timed
from vitjax.training.results import dataset_facts, evaluation, hardware, versions
from vitjax.training.setup import Setup, prepare
from vitjax.training.sharding import replicated
from vitjax.training.state import TrainState
from vitjax.training.step import Programs, aot


def train_and_evaluate(
    config: ConfigDict,
    workdir: str | Path,
    say: Say = print,
    load_weights: LoadWeights | None = None,
) -> dict[str, Any]:
    """Trains as `config` says, from where `workdir` left off, and returns what eval.json holds.

    The epoch that is best on validation is evaluated on the test split, once, at the end.
    `load_weights` serves config.finetune.weights. Raises UserError for what does not fit,
    FloatingPointError when numbers stop being finite, and Interrupted after SIGTERM or Ctrl-C,
    with the state saved.
    """
    folder = RunFolder(Path(workdir))
    folder.check_config(to_json(config), to_json(default(config.model_name)))
    result = folder.evaluation()
    if result is not None:
        say(f"the run in {workdir} is finished")
        say(result_table(result, workdir))
        return result
    check_installed(**config.log)
    setup = prepare(config, say)
    programs = Programs(setup.recipe, setup.mesh)
    weights = "" if folder.has_checkpoints() else config.finetune.weights
    state = initial_state(programs, config.seed, weights, load_weights, say)
    folder.create(to_json(config), {"versions": versions(), "hardware": hardware(setup.mesh)})
    with folder.lock():
        folder.check_dataset(dataset_facts(setup))
        for line in _description(config, setup, workdir):
            say(line)
        with SignalWatch(say) as signals:
            run = Run(config, setup, programs, folder, state, say)
            try:
                run.train(signals)
                result = run.test()
            finally:
                run.checkpoints.close()
                run.logs.close()
        folder.write("eval.json", result)
    say(result_table(result, workdir))
    return result


class Run:
    """A training run in progress."""

    def __init__(
        self,
        config: ConfigDict,
        setup: Setup,
        programs: Programs,
        folder: RunFolder,
        state: TrainState,
        say: Say,
    ):
        self._config, self._setup, self._folder, self._say = config, setup, folder, say
        self._programs, self._state = programs, state
        on_devices = replicated(setup.mesh)
        self._data = {
            name: on_device.put(split, on_devices) for name, split in setup.dataset.splits.items()
        }
        self._train_steps: Any = None
        self._validate: Any = None
        self._seed = jax.device_put(np.uint32(config.seed), on_devices)
        self.checkpoints = Checkpoints(folder.checkpoints, say)
        self._lost: set[int] = set()  # steps that cannot be the best any more
        restored = self.checkpoints.restore(self._state)
        if restored is not None:
            self._state = restored
            say(f"resuming at step {int(restored.step)}")
        self._history = self._kept_history()
        self.checkpoints.best_step = self._best(self._history).get("step")
        step = int(self._state.step)
        self.logs = Logs(folder.path, step, to_json(config), **config.log)

    def _kept_history(self) -> list[dict[str, Any]]:
        """Returns the epochs before the restored step, without the score of a best one lost."""
        step = int(self._state.step)
        history = self._folder.truncate_metrics(step)
        if step >= self._setup.recipe.steps_per_epoch and not history:
            raise UserError(
                f"{self._folder.path} has checkpoints but no metrics.jsonl; put it back, or use "
                "another --workdir"
            )
        best = self._best(history).get("step")
        if best is not None and best not in self.checkpoints.steps():
            self._say(f"the checkpoint of the best epoch (step {best}) is lost; a later one counts")
            self._lost = {line["step"] for line in history} - set(self.checkpoints.steps())
        return history

    def train(self, signals: SignalWatch) -> None:
        """Trains until the last epoch, or until validation stops improving."""
        steps = self._setup.recipe.steps_per_epoch
        first = int(self._state.step) // steps
        if self._finished(first):
            return
        self._compile()
        for epoch in range(first, self._config.num_epochs):
            line = self._line(epoch, *self._train_epoch(epoch, signals))
            self._history.append(line)
            best = self._best(self._history) is line
            self._folder.append_metrics(line)
            self.logs.write(line["step"], {k: v for k, v in line.items() if k != "step"})
            self.checkpoints.save(line["step"], self._state, best=best)
            self._say(epoch_line(line, self._config.num_epochs, best))
            if self._finished(epoch + 1):
                break
            self._leave_if_asked(signals)

    def test(self) -> dict[str, Any]:
        """Evaluates the best epoch on the test split."""
        self.checkpoints.wait()
        state, kept = self._state, self.checkpoints.steps()
        best = self._best([line for line in self._history if line["step"] in kept])
        best = best or self._history[-1]
        if int(state.step) != best["step"]:
            state = self.checkpoints.restore_step(best["step"], state)
        metrics = self._programs.evaluate(state.variables, self._data["test"])
        measured = {f"test_{name}": value for name, value in metrics.compute().items()}
        self.logs.write(self._history[-1]["step"], measured)
        return evaluation(metrics, best, self._history, self._setup, self._config)

    def _compile(self) -> None:
        """Compiles what the epochs run, ahead of their bars."""
        programs, state = self._programs, self._state
        with timed("compiling", self._say):
            order = programs.epoch_order(self._seed, np.int32(0))
            train = state, self._seed, self._data["train"], order, np.int32(0)
            calls: list[tuple[Any, tuple]] = [(programs.train, train)]
            if "valid" in self._data:
                calls.append((programs.evaluate, (state.variables, self._data["valid"])))
            self._train_steps, *rest = aot(self._setup.recipe, *calls)
            self._validate = rest[0] if rest else None
        recipe, device = self._setup.recipe, self._setup.mesh.local_devices[0]
        memory.check_fits(self._train_steps, device, recipe.batch_size, recipe.accumulation_steps)

    def _train_epoch(self, epoch: int, signals: SignalWatch) -> tuple[float, float]:
        """Trains to the end of `epoch`; returns the seconds it took and images/s."""
        recipe = self._setup.recipe
        steps = recipe.steps_per_epoch
        begin, end = epoch * steps, (epoch + 1) * steps
        order = self._programs.epoch_order(self._seed, np.int32(epoch))
        done = at_start = int(self._state.step) - begin
        started = time.perf_counter()
        pace = Pace(self._config.steps_per_call)
        shape = (epoch + 1, self._config.num_epochs, steps, done, recipe.batch_size)
        with EpochBar(*shape) as bar:
            while done < steps:
                self._leave_if_asked(signals)
                called = time.perf_counter()
                stop = min(begin + done + pace.steps, end)
                self._state = self._train_steps(
                    self._state, self._seed, self._data["train"], order, np.int32(stop)
                )
                if int(self._state.step) != stop:
                    self._diverged(order)
                seconds = time.perf_counter() - called
                count, done = stop - begin - done, stop - begin
                bar.update(count, seconds, self._state.metrics.compute())
                pace.took(count, seconds)
        seconds = time.perf_counter() - started
        return seconds, (steps - at_start) * recipe.batch_size / seconds

    def _line(self, epoch: int, seconds: float, images_per_second: float) -> dict[str, Any]:
        """Validates and returns the epoch's line of metrics.jsonl."""
        train = self._state.metrics.compute()
        line = {
            "step": int(self._state.step),
            "epoch": epoch + 1,
            "train_loss": train["loss"],
            "train_accuracy": train["accuracy"],
        }
        started = time.perf_counter()
        if "valid" in self._data:
            valid = self._validate(self._state.variables, self._data["valid"]).compute()
            line |= {"valid_loss": valid["loss"], "valid_accuracy": valid["accuracy"]}
            if not math.isfinite(valid["loss"]):
                raise FloatingPointError(self._advice(f"the validation loss of epoch {epoch + 1}"))
        return line | {
            "lr": float(self._setup.schedule(np.int32(line["step"] - 1))),
            "images_per_second": images_per_second,
            "seconds": seconds + time.perf_counter() - started,
        }

    def _best(self, lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Returns the line of the best epoch whose checkpoint is not lost; {} without any."""
        kept = (line for line in lines if line["step"] not in self._lost)
        return selection.best(kept, self._config.select_by)

    def _finished(self, num_epochs: int) -> bool:
        """Whether nothing is left to train after `num_epochs` whole epochs."""
        patience = self._config.patience
        stopped = selection.out_of_patience(num_epochs, self._best(self._history), patience)
        if stopped:
            self._say(f"stopping: no better validation in {patience} epochs")
        return stopped or num_epochs >= self._config.num_epochs

    def _leave_if_asked(self, signals: SignalWatch) -> None:
        if signals.received:
            step = int(self._state.step)
            if step not in self.checkpoints.steps():
                self.checkpoints.save(step, self._state)
            self.checkpoints.wait()
            raise Interrupted(signals.received, step)

    def _diverged(self, order: Any) -> None:
        step = int(self._state.step)
        where = first_bad_layer(
            self._setup.recipe,
            self._setup.mesh,
            self._seed,
            self._data["train"],
            order,
            self._state,
        )
        epoch = step // self._setup.recipe.steps_per_epoch + 1
        raise FloatingPointError(self._advice(f"step {step} (epoch {epoch}), {where}"))

    def _advice(self, where: str) -> str:
        kept = self.checkpoints.steps()
        return (
            f"NaN or infinity at {where}; lower config.optim.learning_rate or set "
            "config.optim.clip_norm, with another --workdir. "
            + (f"The checkpoint of step {kept[-1]} is kept" if kept else "Nothing was saved yet")
        )


def _description(config: ConfigDict, setup: Setup, workdir: str | Path) -> list[str]:
    """Returns what the run is about to do, a line each."""
    recipe, devices = setup.recipe, setup.mesh.devices.ravel()
    sizes = ", ".join(f"{len(s.labels):,} {n}" for n, s in setup.dataset.splits.items())
    shape = "x".join(map(str, setup.dataset.image_shape))
    per_device = recipe.batch_size // len(devices)
    learn = setup.num_trained_params
    frozen = f" ({learn:,} learn)" if learn < setup.num_params else ""
    return [
        f"data      {setup.dataset.name}: {sizes} images of {shape}, {recipe.num_classes} classes",
        f"model     {config.model_name}: {setup.num_params:,} parameters{frozen}, "
        f"{setup.num_macs:,} MACs per image",
        f"devices   {len(devices)} x {devices[0].device_kind}, computing in "
        f"{recipe.model.dtype}; batch {recipe.batch_size}, {per_device} per device",
        f"training  {config.num_epochs} epochs of {recipe.steps_per_epoch} steps, "
        f"{config.optim.name}, learning rate {config.optim.learning_rate:g} "
        f"({config.schedule.name}), seed {config.seed}",
        f"workdir   {workdir}",
        *_warnings(config),
    ]


def _warnings(config: ConfigDict) -> list[str]:
    """Returns what fits, but is hardly meant."""
    if config.schedule.warmup_epochs > config.num_epochs:
        return [
            f"warning   the warm-up of {config.schedule.warmup_epochs:g} epochs is longer than the "
            f"run: the learning rate stays below {config.optim.learning_rate:g}"
        ]
    return []
