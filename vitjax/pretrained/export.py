"""Writes the weights of a run as safetensors, under vitjax's names.

python -m vitjax.pretrained.export --workdir=runs/digits --output=digits.safetensors

The file is a value of --config.finetune.weights, and loads exactly. It has the best epoch on
validation; where parameters were averaged, the averages.
"""

from pathlib import Path

from absl import flags

from vitjax import cli

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
OUTPUT = flags.DEFINE_string("output", None, "File to write, NAME.safetensors.")


def main() -> int:
    """Runs the command; returns its exit code."""
    if not WORKDIR.value or not OUTPUT.value:
        raise ValueError("--workdir=RUN and --output=NAME.safetensors are needed")
    output = Path(OUTPUT.value).expanduser()
    if output.suffix != ".safetensors":
        raise ValueError(f"--output={output} should end with .safetensors")
    if not output.parent.is_dir():
        raise ValueError(
            f"--output={output}: {output.parent} is no folder; make it, or change --output"
        )
    from vitjax.pretrained import files, run
    from vitjax.training.run_folder import RunFolder

    workdir = Path(WORKDIR.value)
    if not run.is_run(workdir):
        raise ValueError(f"--workdir={workdir} is no folder of a run with checkpoints")
    arrays = run.read(workdir)
    config = RunFolder(workdir).read("config.json", "config")["config"]
    files.write(output, arrays, {"model_name": config["model_name"], "model": config["model"]})
    print(f"{output}: {len(arrays)} arrays, {sum(x.size for x in arrays.values()):,} numbers")
    return 0


if __name__ == "__main__":
    cli.run(main)
