"""A run from its config to its result."""

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from vitjax.config import default, to_json
from vitjax.errors import Diverged
from vitjax.pretrained.load import Inputs, load_weights
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.logs import Logs
from vitjax.runs.provenance import provenance
from vitjax.runs.record import Record
from vitjax.runs.run_folder import RunFolder
from vitjax.training import preflight
from vitjax.training.batch_parallel import BatchParallel
from vitjax.training.description import describe, warnings
from vitjax.training.interrupt import SignalWatch
from vitjax.training.loop import Training
from vitjax.training.progress import Say, result_table, timed
from vitjax.training.setup import Setup, dataset_json, eval_json, prepare
from vitjax.training.sharding import placement
from vitjax.training.state import TrainState, with_variables
from vitjax.training.step import Programs, Recipe


def train_and_evaluate(
    config: ConfigDict, workdir: str | Path, say: Say = print, command: str = ""
) -> dict[str, Any]:
    """Trains as `config` says, from where `workdir` left off, and returns what eval.json holds.

    The epoch that is best on validation is evaluated on the test split, once, at the end.
    `command` is kept in config.json. Raises UserError for what does not fit, Diverged when numbers
    stop being finite, and Interrupted after SIGTERM or Ctrl-C, with the state saved.
    """
    folder = RunFolder(Path(workdir))
    folder.check_config(to_json(config), to_json(default(config.model_name)))
    result = folder.evaluation()
    if result is not None:
        say(f"the run in {workdir} is finished")
        say(result_table(result, workdir))
        return result
    preflight.check(config, jax.devices())
    setup = prepare(config, say)
    programs = Programs(setup.recipe, setup.mesh)
    fresh = None if folder.has_checkpoints() else _fresh_state(config, programs, say)
    folder.create(to_json(config), provenance(setup.mesh), command)
    with folder.lock():
        folder.check_dataset(dataset_json(setup))
        for line in (*describe(config, setup), f"workdir   {workdir}"):
            say(line)
        for line in warnings(config, setup.mesh.devices.flat[0].platform):
            say(line)
        result = _train_and_test(config, setup, programs, folder, fresh, say)
        folder.write("eval.json", result)
    say(result_table(result, workdir))
    return result


def _fresh_state(config: ConfigDict, programs: Programs, say: Say) -> TrainState:
    """Returns the state before the first step, with the variables that the config names, if any."""
    with timed("initialising", say):
        state = programs.init(np.uint32(config.seed))
    if not config.finetune.weights:
        return state
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
        signals = closing.enter_context(SignalWatch(say))
        checkpoints = Checkpoints(folder.checkpoints, say)
        closing.callback(checkpoints.close)
        engine = BatchParallel(setup, programs, config.seed, checkpoints, fresh, say)
        logs = Logs(folder.path, to_json(config), **config.log)
        record = Record(folder, logs, select_by=config.select_by, patience=config.patience)
        closing.callback(record.close)
        training = Training(
            engine,
            [record],
            [""],
            folder.path,
            num_epochs=config.num_epochs,
            steps_per_call=config.steps_per_call,
            say=say,
        )
        checkpoints.best_step = record.best.get("step")
        training.train(config.num_epochs, signals)
        if training.failures:
            raise Diverged(_advice(training.failures[0], checkpoints))
        best = record.best or record.lines[-1]
        metrics = engine.test(best["step"])
        measured = {f"test_{name}": value for name, value in metrics.compute().items()}
        record.log(record.lines[-1]["step"], measured)
    return eval_json(metrics, best, record.lines, setup, config)


def _advice(where: str, checkpoints: Checkpoints) -> str:
    kept = checkpoints.steps()
    return (
        f"NaN or infinity at {where}; lower config.optim.learning_rate or set "
        "config.optim.clip_norm, with another --workdir. "
        + (f"The checkpoint of step {kept[-1]} is kept" if kept else "Nothing was saved yet")
    )
