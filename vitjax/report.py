"""Writes what a run learned as one page, W/report/index.html, with its figures beside it.

python -m vitjax.report --workdir=runs/digits

The page needs no network. The run is evaluated first, where that was not done yet. With --card it
writes W/report/README.md instead, a model card for the Hugging Face hub of what was measured.
"""

import sys
from collections.abc import Sequence

from vitjax import cli


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    workdir = command.path("workdir", None, "Folder of the run.", required=True)
    command.section("Data")
    data_dir = command.path("data_dir", "", "Where the data lies, if not where it lay.")
    image_root = command.path("image_root", "", "Folder that the paths of a CSV start from.")
    command.section("Output")
    num_mistakes = command.integer("num_mistakes", 24, "Mistakes to show.", lower_bound=0)
    num_maps = command.integer("num_maps", 6, "Images to show attention on.", lower_bound=0)
    images = command.texts(
        "images", "Show attention on these images, named as in predictions.npz's ids."
    )
    card = command.switch("card", "Write a model card instead.")

    def main() -> int:
        import vitjax

        if card.value:
            print(f"written to {vitjax.load(workdir.value).card()}")
            return 0
        report = vitjax.load(workdir.value).report(
            num_mistakes=num_mistakes.value,
            num_maps=num_maps.value,
            images=images.value,
            data_dir=data_dir.value,
            image_root=image_root.value,
        )
        print(f"written to {report.path}")
        return 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
