"""Runs on eight devices; the arguments are which, and the folder that theirs come into."""

import json
import shutil
import sys
from pathlib import Path
from unittest import mock

import jax
from small_runs import quiet, small

from vitjax.runs.checkpoints import Checkpoints
from vitjax.training.run import train_and_evaluate

TUNED = {  # begins with other weights, some of which stay, in micro-batches of a stream
    **{"finetune.train_only": "encoder|head", "optim.accumulation_steps": 2},
    **{"optim.name": "muon", "optim.clip_norm": 1.0, "num_epochs": 2, "data.stream": "always"},
}


def config(data, fsdp, **changes):
    """A run some of whose parameters are large enough to be split."""
    wide = {"model.hidden_dim": 128, "model.mlp_dim": 512, "optim.learning_rate": 1e-3}
    odd = {"data.max_examples": 117, "data.eval_batch_size": 50, "optim.ema_decay": 0.5}
    mesh = {"mesh.data": data, "mesh.fsdp": fsdp}
    return small(**wide | odd | mesh | changes)


def shards(state):
    """{path: [shape, shape on a device]} of a state."""
    return {
        jax.tree_util.keystr(path): [x.shape, x.addressable_shards[0].data.shape]
        for path, x in jax.tree_util.tree_leaves_with_path(state)
    }


def train(workdir, *mesh, **changes):
    """Trains, and writes down how the last state that was saved lay on the devices."""
    save = Checkpoints.save

    def save_and_look(self, step, state):
        (workdir / "shards.json").write_text(json.dumps(shards(state)))
        save(self, step, state)

    with mock.patch.object(Checkpoints, "save", save_and_look):
        train_and_evaluate(config(*mesh, **changes), workdir, quiet)


def go_on(workdir, before, *mesh):
    """Does the last epoch of a run again, in a copy of its folder."""
    shutil.copytree(before, workdir)
    (workdir / "eval.json").unlink()
    newest = max((workdir / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    shutil.rmtree(newest)
    train(workdir, *mesh)


def one(folder):
    """A run whose devices share batches and parameters."""
    train(folder / "4x2", 4, 2)


def others(folder):
    """The same run in other meshes, its end in another, and one that begins with its weights."""
    for data, fsdp in ((8, 1), (1, 8)):
        train(folder / f"{data}x{fsdp}", data, fsdp)
    go_on(folder / "on_8x1", folder / "4x2", 8, 1)
    train(folder / "tuned", 4, 2, **TUNED, **{"finetune.weights": str(folder / "4x2")})


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)  # as the tests
    {"one": one, "others": others}[sys.argv[1]](Path(sys.argv[2]))
