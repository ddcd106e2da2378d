"""Measures how fast vitjax trains, beside what a user would pick instead.

python -m vitjax.benchmark --suite=seeds --peers --json=seeds.json
python -m vitjax.benchmark --config=configs/vit_mnist.py --config.data.data_dir=DIR
python -m vitjax.benchmark --suite=attention --plot=attention.png
python -m vitjax.benchmark --suite=tpu --target=v5e --only=vit_mnist
python -m vitjax.benchmark --suite=many_chips --target=v5e:4x4 --only=vit_b

Suites run on random images. The suites tpu, gpu and many_chips run nothing: they compile for
devices that need not be there, with the extra [tpu] or [cuda], and say what the compiler predicts.
--peers needs the extra [bench]; vitjax and PyTorch take turns in one run, so that their ratio holds
on a busy machine, where an absolute time means little. --markdown prints what
vitjax/benchmarking/README.md holds, from the results that come with vitjax; with --suite=many_chips
the table of vitjax/docs/scaling.md.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitjax import cli, files
from vitjax.errors import UserError

_SUITES = ["seeds", "attention", "sweep", "start", "stream", "tpu", "gpu", "many_chips"]
_PREDICTED = ("tpu", "gpu", "many_chips")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    of_config = any(word.lstrip("-").partition("=")[0] == "config" for word in words)
    command = cli.Command(__doc__, default_config="configs/vit_digits.py" if of_config else "")
    command.section("What")
    suite = command.choice("suite", "seeds", _SUITES, "What to measure.")
    only = command.texts(
        "only", "Only these of the suite: models, numbers of patches a side, of members."
    )
    command.section("Machine")
    target = command.string(
        "target",
        "",
        "Chips of --suite=tpu and many_chips (v5e, v6e, v5e:2x4) or gpu (h200, h100x8, a100, t4).",
    )
    command.section("What")
    peers = command.switch("peers", "Measure PyTorch on the same work as well.")
    rounds = command.integer("rounds", 7, "Turns that each trainer takes.", lower_bound=1)
    command.section("Output")
    json_file = command.path("json", None, "File that the results are written to.")
    plot = command.png("plot", "PNG file for a figure of --suite=attention's times and memory.")
    markdown = command.switch(
        "markdown", "Print the page of recorded results, and measure nothing."
    )

    def main() -> int:
        if markdown.value:
            from vitjax.benchmarking import prediction_tables, speed_tables

            if suite.value == "many_chips":
                print(prediction_tables.many_chips(speed_tables.RESULTS))
            else:
                print(speed_tables.markdown())
            return 0
        if of_config:
            results = _measure_config(command, peers.value, rounds.value)
        else:
            _check(suite.value, only.value, peers.value, plot.value, target.value)
            if suite.value in _PREDICTED:
                results = _predict(suite.value, only.value, target.value)
            else:
                results = _measure(suite.value, only.value, peers.value, rounds.value, plot.value)
        if json_file.value is not None:
            own = shlex.join(["python", "-m", "vitjax.benchmark", *command.argv])
            text = json.dumps({"command": own, **results}, indent=1) + "\n"
            files.write(Path(json_file.value), text)
            print(f"written to {json_file.value}")
        return 0

    return command.run(main, argv)


def _check(suite: str, only: Sequence[str], peers: bool, plot: str | None, target: str) -> None:
    """Raises UserError for an option that the suite does not know."""
    if plot and suite != "attention":
        raise UserError(f"--plot is for --suite=attention; --suite={suite} was given")
    if only and suite in ("start", "stream"):
        raise UserError(f"--only was given, and --suite={suite} has no parts; leave it out")
    if target and suite not in _PREDICTED:
        raise UserError(
            f"--target={target} is for --suite=tpu, gpu and many_chips, which compile; not for "
            f"--suite={suite}"
        )
    if peers and suite in _PREDICTED:
        raise UserError(f"--peers works with --suite=seeds; --suite={suite} was given")


def _measure(
    suite: str, only: Sequence[str], peers: bool, rounds: int, plot: str | None
) -> dict[str, Any]:
    """Measures a suite; draws --suite=attention to the file `plot`, if any."""
    from vitjax.benchmarking import suites
    from vitjax.training.placement.sharding import device_per_core

    if suite == "attention":
        results = suites.attention(only, rounds, _say)
        if plot:
            _draw(results, Path(plot))
    elif suite == "start":
        results = suites.start(rounds, _say)
    elif suite == "stream":
        results = suites.stream(rounds, _say)
    elif suite == "sweep":
        device_per_core()
        results = suites.sweep(only, rounds, _say)
    else:
        results = suites.seeds(only, peers, rounds, _say)
    return {"suite": suite, **results}


def _predict(suite: str, only: Sequence[str], target: str) -> dict[str, Any]:
    """Compiles a suite for chips that need not be there."""
    from vitjax.benchmarking import compiler_suite, many_chips
    from vitjax.config_file import load_config

    if suite == "many_chips":
        return {"suite": suite, **many_chips.predict(target, only, _say)}
    return {"suite": suite, **compiler_suite.predict(suite, target, only, load_config, _say)}


def _measure_config(command: cli.Command, peers: bool, rounds: int) -> dict[str, Any]:
    """Measures the run that a config describes, on its data."""
    if peers:
        raise UserError("--peers works with --suite=seeds; no peer is known for a config")
    from vitjax.benchmarking import suites

    return {"config": str(command.config_file), **suites.config(command.config, rounds, _say)}


def _say(text: str) -> None:
    print(text, flush=True)


def _draw(results: dict[str, Any], path: Path) -> None:
    from vitjax.reporting.cost import scaling_picture
    from vitjax.reporting.drawing import write_png

    picture = scaling_picture(results["points"], results["hardware"])
    write_png(path, picture.figure)
    print(f"written to {path}")
    print(picture.alt)


if __name__ == "__main__":
    sys.exit(run())
