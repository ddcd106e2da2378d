"""Measures how fast vitjax trains, beside what a user would pick instead.

python -m vitjax.benchmark --suite=seeds --peers --json=seeds.json
python -m vitjax.benchmark --config=configs/vit_mnist.py --config.data.data_dir=DIR
python -m vitjax.benchmark --suite=attention --plot=attention.png

Suites run on random images. --peers needs the extra [bench]; vitjax and PyTorch take turns in one
run, so that their ratio holds on a busy machine, where an absolute time means little. --markdown
prints README's section from the results that come with vitjax.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    from ml_collections import ConfigDict

SUITE = flags.DEFINE_enum(
    "suite", "seeds", ["seeds", "attention", "sweep", "start"], "What to measure."
)
ONLY = flags.DEFINE_list(
    "only", [], "Only these of the suite: models, numbers of patches a side, of members."
)
PEERS = flags.DEFINE_bool("peers", False, "Measure PyTorch on the same work as well.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns that each trainer takes.", lower_bound=1)
JSON = flags.DEFINE_string("json", None, "File that the results are written to.")
PLOT = cli.png_flag("plot", "PNG file for a figure of --suite=attention's step times and memory.")
MARKDOWN = flags.DEFINE_bool("markdown", False, "Print README's section, and measure nothing.")


def main() -> int:
    """Measures a suite; returns the exit code."""
    if MARKDOWN.value:
        from vitjax.benchmarking.tables import markdown

        print(markdown())
        return 0
    if PLOT.value and SUITE.value != "attention":
        raise ValueError(f"--plot is for --suite=attention; --suite={SUITE.value} was given")
    if ONLY.value and SUITE.value == "start":
        raise ValueError("--only was given, and --suite=start has one run alone; leave it out")
    from vitjax.benchmarking import run
    from vitjax.training.sharding import device_per_core

    if SUITE.value == "attention":
        results = run.attention(ONLY.value, ROUNDS.value, _say)
        _plot(results)
    elif SUITE.value == "start":
        results = run.start(ROUNDS.value, _say)
    elif SUITE.value == "sweep":
        device_per_core()
        results = run.sweep(ONLY.value, ROUNDS.value, _say)
    else:
        results = run.seeds(ONLY.value, PEERS.value, ROUNDS.value, _say)
    _write({"suite": SUITE.value, **results})
    return 0


def main_config(config: "ConfigDict", config_file: Path) -> None:
    """Measures the run that a config describes, on its data."""
    from vitjax.benchmarking import run

    if PEERS.value:
        raise ValueError("--peers works with --suite=seeds; no peer is known for a config")
    _write({"config": str(config_file), **run.config(config, ROUNDS.value, _say)})


def _say(text: str) -> None:
    print(text, flush=True)


def _plot(results: dict[str, Any]) -> None:
    if PLOT.value is None:
        return
    from vitjax.reporting.figures import png
    from vitjax.reporting.scaling import scaling_picture

    picture = scaling_picture(results["points"], results["hardware"])
    _replace(Path(PLOT.value), png(picture.figure))
    print(picture.alt)


def _write(results: dict[str, Any]) -> None:
    if JSON.value is None:
        return
    command = shlex.join(["python", "-m", "vitjax.benchmark", *sys.argv[1:]])
    text = json.dumps({"command": command, **results}, indent=1) + "\n"
    _replace(Path(JSON.value), text.encode())


def _replace(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_bytes(content)
    partial.replace(path)
    print(f"written to {path}")


if __name__ == "__main__":
    given = any(word.lstrip("-").partition("=")[0] == "config" for word in sys.argv[1:])
    if given:
        cli.run_with_config(main_config, default_config="configs/vit_digits.py")
    else:
        cli.run(main)
