"""Writes what a run learned as one page, W/report/index.html, with its figures beside it.

python -m vitjax.report --workdir=runs/digits

The page needs no network. What W/predictions.npz holds is evaluated first where it is absent.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    pass

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
SPLIT = flags.DEFINE_string("split", "test", "Split of the run's data to report on.")
NUM_IMAGES = flags.DEFINE_integer("num_images", 24, "Mistakes to show.", lower_bound=0)
NUM_MAPS = flags.DEFINE_integer("num_maps", 6, "Images to show attention on.", lower_bound=0)


def main() -> int:
    """Runs the command."""
    cli.use_compile_cache()
    from vitjax.reporting.contents import sections
    from vitjax.reporting.page import page, write
    from vitjax.reporting.run_sections import headline

    folder = Path(WORKDIR.value) / "report"
    facts = gather(Path(WORKDIR.value), SPLIT.value)
    parts = sections(facts, NUM_IMAGES.value, NUM_MAPS.value)
    title = f"{type(facts.model).__name__} on {facts.dataset['name']}"
    write(folder, page(title, [headline(facts.evaluation)], parts), parts)
    print(f"open {folder / 'index.html'}")
    return 0
