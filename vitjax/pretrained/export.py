"""Writes the weights of a run as safetensors, under vitjax's names.

python -m vitjax.pretrained.export --workdir=runs/digits --output=digits.safetensors

The file is a value of --config.finetune.weights, and loads exactly. It has the best epoch on
validation; where parameters were averaged, the averages.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vitjax import cli
from vitjax.errors import UserError


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    workdir = command.string("workdir", None, "Folder of the run.")
    output = command.string("output", None, "File to write, NAME.safetensors.")

    def main() -> int:
        export(workdir.value, output.value)
        return 0

    return command.run(main, argv)


def export(workdir: str | None, output_file: str | None) -> None:
    """Writes the weights of a run; raises UserError where there are none, or no place for them."""
    if not workdir or not output_file:
        raise UserError("--workdir=RUN and --output=NAME.safetensors are needed")
    output = Path(os.path.expanduser(output_file))
    if output.suffix != ".safetensors":
        raise UserError(f"--output={output} should end with .safetensors")
    if not output.parent.is_dir():
        raise UserError(
            f"--output={output}: {output.parent} is no folder; make it, or change --output"
        )
    from vitjax.pretrained import weight_files
    from vitjax.pretrained.load import read
    from vitjax.runs.run_folder import RunFolder
    from vitjax.runs.saved_config import read_options
    from vitjax.runs.weights import is_run

    folder = Path(workdir)
    if not is_run(folder):
        raise UserError(f"--workdir={folder} is no folder of a run with checkpoints")
    arrays = read(folder)
    config = read_options(RunFolder(folder))
    described = {"model_name": config["model_name"], "model": config["model"]}
    weight_files.write(output, arrays, described)
    print(f"{output}: {len(arrays)} arrays, {sum(x.size for x in arrays.values()):,} numbers")


if __name__ == "__main__":
    sys.exit(run())
