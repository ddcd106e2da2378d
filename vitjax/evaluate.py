"""Measures a trained run: on a split of its data, or on another data set of the same classes.

python -m vitjax.evaluate --workdir=runs/digits
python -m vitjax.evaluate --workdir=runs/digits --split=valid
python -m vitjax.evaluate --workdir=runs/cats --data=folder --data_dir=DIR
python -m vitjax.evaluate --workdir=runs/digits --corruptions

It writes eval.json and predictions.npz, and with --corruptions corruptions.json, into the run's
folder; on anything but the run's own test split with a hyphen and the name of the split or of the
data. Corruptions are noise, blur, contrast, pixelate, rotation and shift, each at five strengths.
"""

import sys
from collections.abc import Sequence

from vitjax import cli


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    workdir = command.path("workdir", None, "Folder of the run.", required=True)
    split = command.choice("split", "test", ["test", "valid", "train"], "What to measure on.")
    command.section("Data")
    data = command.string("data", "", "Another data set, named as config.data.name.")
    data_dir = command.path("data_dir", "", "Where the data lies, if not where it lay.")
    image_root = command.path("image_root", "", "Folder that the paths of a CSV start from.")
    label_column = command.string("label_column", "", "Of a CSV.")
    corruptions = command.switch("corruptions", "Measures on corrupted images too.")

    def main() -> int:
        import vitjax

        found = vitjax.load(workdir.value).evaluate(
            split.value,
            data=data.value,
            data_dir=data_dir.value,
            image_root=image_root.value,
            label_column=label_column.value,
            corruptions=corruptions.value,
        )
        print(found)
        return 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
