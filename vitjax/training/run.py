"""A run from its config to its result."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from ml_collections import ConfigDict

from vitjax.config import default, to_json
from vitjax.errors import Diverged, UserError
from vitjax.machine import processes
from vitjax.machine.signals import SignalWatch
from vitjax.pretrained.load import Inputs, digest, load_weights
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.logs import Logs
from vitjax.runs.manifest import saved_steps
from vitjax.runs.provenance import provenance
from vitjax.runs.record import Record
from vitjax.runs.run_folder import RunFolder
from vitjax.training.ahead import preflight
from vitjax.training.ahead.description import describe, warnings
from vitjax.training.batch_parallel import BatchParallel
from vitjax.training.chance import chance
from vitjax.training.loop import Training
from vitjax.training.placement.sharding import placement
from vitjax.training.progress import Say, noticed, result_table, timed
from vitjax.training.setup import Setup, dataset_json, eval_json, prepare
from vitjax.training.state import TrainState, with_variables
from vitjax.training.step import Programs, Recipe


def train_and_evaluate(
    config: ConfigDict, workdir: str | Path, say: Say = print, command: str = ""
) -> dict[str, Any]:
    """Trains as `config` says, from where `workdir` left off, and returns what eval.json holds.

    The epoch that is best on validation is evaluated on the test split, once, at the end.
    `command` is kept in config.json. With several processes all call this, and share the file
    system of `workdir`; the first speaks and writes. Raises UserError for what does not fit,
    Diverged when numbers stop being finite, and Interrupted after SIGTERM or Ctrl-C at any process,
    with the state saved.
    """
    folder = RunFolder(Path(workdir))
    say = say if processes.is_first() else lambda text: None
    stage = _stage(folder, config)
    if stage == "finished":
        say(f"the run in {workdir} is finished")
        finished = folder.evaluation()
        assert finished is not None
        say(result_table(finished, workdir))
        return finished
    with noticed("tracing the model", say), processes.agreed():
        preflight.check(config, jax.devices())
        setup = prepare(config, say)
    processes.check_same("data set", json.dumps(dataset_json(setup)))
    programs = Programs(setup.recipe, setup.mesh)
    fresh = _fresh_state(config, programs, say) if stage == "new" else None
    with _begun(folder, stage, config, setup, command):
        for line in (*describe(config, setup), f"workdir   {workdir}"):
            say(line)
        for line in warnings(config, setup.dataset, setup.mesh.devices.flat[0].platform):
            say(line)
        result = _train_and_test(config, setup, programs, folder, fresh, say)
        with processes.agreed():
            if processes.is_first():
                folder.write_measured("eval.json", result)
    say(result_table(result, workdir))
    return result


def _stage(folder: RunFolder, config: ConfigDict) -> str:
    """Returns whether the run of a folder is "new", "begun" or "finished"."""
    stage = ""
    with processes.agreed():
        processes.check_same("config", json.dumps(to_json(config), sort_keys=True))
        if processes.is_first():
            folder.check_config(to_json(config), to_json(default(config.model_name)))
            folder.check_none_missing()
            steps = saved_steps(folder.checkpoints)
            if steps:
                folder.check_fits(steps[-1])
            begun = "begun" if steps else "new"
            stage = begun if folder.evaluation() is None else "finished"
            if stage == "finished" and not steps:
                raise UserError(
                    f"{folder.path} has eval.json, and its checkpoints are lost; put them back, or "
                    "use another --workdir"
                )
    return processes.of_first(stage)


@contextlib.contextmanager
def _begun(
    folder: RunFolder, stage: str, config: ConfigDict, setup: Setup, command: str
) -> Iterator[None]:
    """Keeps others out of the folder, and begins the run there unless that is done.

    Raises UserError if others have trained there since its `stage` was found.
    """
    with folder.shared_lock():
        if _stage(folder, config) != stage:
            raise UserError(
                f"another process has trained in {folder.path} meanwhile; the same command goes on"
            )
        with processes.agreed():
            if processes.is_first():
                folder.create(to_json(config), provenance(setup.mesh), command)
                folder.check_dataset(dataset_json(setup))
        yield


def _fresh_state(config: ConfigDict, programs: Programs, say: Say) -> TrainState:
    """Returns the state before the first step, with the variables that the config names, if any."""
    with timed("initialising", say):
        state = programs.init(np.uint32(config.seed))
    if not config.finetune.weights:
        return state
    with processes.agreed():
        loaded = with_weights(config, programs.recipe, state, say)
    return jax.device_put(loaded, placement(programs.mesh, loaded))


def with_weights(config: ConfigDict, recipe: Recipe, state: TrainState, say: Say) -> TrainState:
    """Returns a state with the variables that config.finetune.weights names, as it wants them."""
    options, inputs = config.finetune, Inputs(recipe.image_shape, recipe.mean, recipe.std)
    fresh = {"params": state.params, **state.model_state}
    loaded = load_weights(
        options.weights, fresh, recipe.model, inputs, say, allow_pickle=options.allow_pickle
    )
    return with_variables(state, loaded, recipe.train_only)


def weights_digest(config: ConfigDict) -> str:
    """Returns what tells the weights that a config names from any others; "" without any."""
    options = config.finetune
    return digest(options.weights, options.allow_pickle) if options.weights else ""


def _train_and_test(
    config: ConfigDict,
    setup: Setup,
    programs: Programs,
    folder: RunFolder,
    fresh: TrainState | None,
    say: Say,
) -> dict[str, Any]:
    """Trains to the end and measures the best epoch; returns what eval.json holds."""
    with contextlib.ExitStack() as closing:
        checkpoints = Checkpoints(folder.checkpoints, say, made_with=folder.made_with)
        closing.callback(checkpoints.close)
        engine = BatchParallel(setup, programs, config.seed, checkpoints, fresh, say)
        closing.callback(engine.close)
        writes = processes.is_first()
        logs = Logs(folder.path, to_json(config), **config.log) if writes else None
        choice = {"select_by": config.select_by, "patience": config.patience}
        record = Record(folder, logs, **choice, writes=writes)
        closing.callback(record.close)
        training = Training(
            engine,
            [record],
            [""],
            folder.path,
            num_epochs=config.num_epochs,
            steps_per_call=config.steps_per_call,
            say=say,
            chance=chance(setup.dataset.splits["train"].labels),
        )
        checkpoints.best_step = record.best.get("step")
        training.train(config.num_epochs, SignalWatch(say))
        if training.failures:
            _end_diverged(folder, training.failures[0], checkpoints)
        best = record.best or record.lines[-1]
        metrics = engine.test(best["step"])
        if not np.isfinite(metrics.loss):
            _end_diverged(folder, f"the loss on test after step {best['step']}", checkpoints)
        measured = {f"test_{name}": value for name, value in metrics.compute().items()}
        record.log(record.lines[-1]["step"], measured)
    return eval_json(metrics, best, record.lines, setup, config)


def _end_diverged(folder: RunFolder, where: str, checkpoints: Checkpoints) -> NoReturn:
    """Writes down that numbers stopped being finite, and raises Diverged with advice."""
    with processes.agreed():
        if processes.is_first():
            folder.write("diverged.json", {"where": where})
    kept = checkpoints.steps()
    raise Diverged(
        f"NaN or infinity at {where}; lower config.optim.learning_rate or set "
        "config.optim.clip_norm or skip_nonfinite, with another --workdir. "
        + (f"The checkpoint of step {kept[-1]} is kept" if kept else "Nothing was saved yet")
    )
