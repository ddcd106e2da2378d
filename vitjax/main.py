"""Trains a classifier, or goes on training it, and evaluates it.

python -m vitjax.main --config=configs/vit_cifar100.py --workdir=runs/cifar --config.seed=1

The same command on the same --workdir resumes the run. VITJAX_TRACEBACK=1 shows tracebacks.
"""

import functools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    from ml_collections import ConfigDict

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; default: a new one in runs/.")


def main(config: "ConfigDict", config_file: Path) -> None:
    """Runs the command."""
    cli.use_compile_cache()
    from vitjax.pretrained.load import load_weights
    from vitjax.training.interrupt import Interrupted
    from vitjax.training.loop import train_and_evaluate

    workdir = WORKDIR.value or f"runs/{config_file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    say = functools.partial(print, flush=True)
    load = functools.partial(load_weights, allow_pickle=config.finetune.allow_pickle)
    try:
        train_and_evaluate(config, workdir, say, load)
    except Interrupted as error:
        print(f"{error}; go on with the same options and --workdir={workdir}", file=sys.stderr)
        sys.exit(128 + error.signal_number)


if __name__ == "__main__":
    cli.run_with_config(main, default_config="configs/vit_digits.py")
