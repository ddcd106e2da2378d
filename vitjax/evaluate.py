"""Measures a trained run: on a split of its data, or on another data set of the same classes.

python -m vitjax.evaluate --workdir=runs/digits
python -m vitjax.evaluate --workdir=runs/digits --split=valid
python -m vitjax.evaluate --workdir=runs/cats --data=folder --data_dir=DIR

It writes eval.json and predictions.npz into the run's folder; on anything but the run's own test
split with a hyphen and the name of the split or of the data.
"""

from absl import flags

from vitjax import cli

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
SPLIT = flags.DEFINE_enum("split", "test", ["test", "valid", "train"], "What to measure on.")
DATA = flags.DEFINE_string("data", "", "Another data set, named as config.data.name.")
DATA_DIR = flags.DEFINE_string("data_dir", "", "Where the data lies, if not where it lay.")
IMAGE_ROOT = flags.DEFINE_string("image_root", "", "Folder that the paths of a CSV start from.")
LABEL_COLUMN = flags.DEFINE_string("label_column", "", "Of a CSV.")


def main() -> int:
    """Runs the command."""
    cli.use_compile_cache()
    from vitjax.evaluation import Source, evaluate
    from vitjax.reporting.terminal import evaluation_table

    source = Source(DATA.value, DATA_DIR.value, IMAGE_ROOT.value, LABEL_COLUMN.value)
    found = evaluate(WORKDIR.value, SPLIT.value, source)
    print(evaluation_table(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
