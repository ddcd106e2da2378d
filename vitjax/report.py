"""Writes what a run learned as one page, W/report/index.html, with its figures beside it.

python -m vitjax.report --workdir=runs/digits

The page needs no network. The split is evaluated first where its predictions are absent.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    from vitjax.reporting.contents import Facts

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

    workdir = Path(WORKDIR.value)
    facts = gather(workdir, SPLIT.value)
    parts = sections(facts, NUM_IMAGES.value, NUM_MAPS.value)
    title = f"{type(facts.model).__name__} on {facts.dataset['name']}"
    write(workdir / "report", page(title, [headline(facts.evaluation)], parts), parts)
    print(f"open {workdir / 'report' / 'index.html'}")
    return 0


def gather(workdir: Path, split: str) -> "Facts":
    """Reads a run's files, its model and the images of a split."""
    import numpy as np

    import vitjax
    from vitjax.config import default, to_json
    from vitjax.reporting.contents import Facts
    from vitjax.reporting.examples import Predictions
    from vitjax.training.run_folder import RunFolder, flatten
    from vitjax.training.setup import load

    folder, trained = RunFolder(workdir), vitjax.load(workdir)
    run = folder.read("config.json", "config")
    defaults, chosen = flatten(to_json(default(trained.config.model_name))), flatten(run["config"])
    changes = [
        (key, json.dumps(defaults.get(key)), json.dumps(value))
        for key, value in chosen.items()
        if value != defaults.get(key)
    ]
