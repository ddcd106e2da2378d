"""What training all of seed 003's rows takes: arithmetic on what compilers predict of some."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from vitjax import config_file
from vitjax.published import ledger, rebuild
from vitjax.published.ledger import Row

SEED = "003"
NUM_IMAGES = 99_808  # of the train split
_IMAGE_SHAPE = (224, 224, 3)
_RESULTS = Path(__file__).parents[1] / "benchmarking" / "results"
_ACCELERATORS = {"tpu_v5e": "TPU v5e", "gpu_h200": "H200"}  # result file: what it is of
_CASE_ROWS = {  # family: recorded case, and the row whose network that is
    "vit": ("vit_galaxy_110421", "110421"),
    "linformer": ("linformer_galaxy_arxiv", "arXiv"),
    "vit_base": ("vit_base_224", "010822B"),
}


class Cost(NamedTuple):
    """The work of some rows."""

    num_rows: int
    num_epochs: int
    macs: int  # of the forward passes that cost as much

    @property
    def flops(self) -> int:
        """Floating-point operations."""
        return 2 * self.macs


def cost_of(rows: Iterable[Row]) -> Cost:
    """Returns the work of rows that have a config."""
    each = [_cost(row) for row in rows if row.config is not None]
    return Cost(len(each), sum(cost.num_epochs for cost in each), sum(cost.macs for cost in each))


def _cost(row: Row) -> Cost:
    counts = rebuild.build(row)
    assert counts is not None
    assert row.config is not None
    num_epochs = config_file.load_config(row.config).num_epochs
    return Cost(1, num_epochs, counts.training_macs * NUM_IMAGES * num_epochs)


def seconds_per_mac(results: dict[str, Any], family: str) -> float:
    """Returns the least time of a multiply-accumulate when a family's recorded case trains."""
    row_name = _CASE_ROWS[family][1]
    (row,) = ledger.named(row_name, list(ledger.rows(seed=SEED)), "--row")[:1]
    counts = rebuild.build(row)
    assert counts is not None
    return 1 / (rebuild.LEARNT_PASSES * counts.macs * images_per_second(results, family))


def images_per_second(results: dict[str, Any], family: str) -> float:
    """Returns how many images a family's recorded case trains on at most."""
    name = _CASE_ROWS[family][0]
    (case,) = (case for case in results["cases"] if case["name"] == name)
    return case["batch_size"] / case["stages"]["epoch"]["bound_seconds"]


def markdown() -> list[str]:
    """Returns Markdown tables of the work, the least hours and the appetite of seed 003."""
    recorded = {name: json.loads((_RESULTS / f"{name}.json").read_text()) for name in _ACCELERATORS}
    kinds = " | ".join(f"hours of one {name}" for name in _ACCELERATORS.values())
    rows = [
        f"| family | rows | epochs in all | images trained on | 10^18 FLOP | {kinds} |",
        "|---|" + "---:|" * (4 + len(_ACCELERATORS)),
    ]
    totals, hours = [], dict.fromkeys(_ACCELERATORS, 0.0)
    for family in _CASE_ROWS:
        chosen = [row for row in ledger.rows(seed=SEED) if row.family == family]
        totals.append(cost := cost_of(chosen))
        own = {
            name: cost.macs * seconds_per_mac(recorded[name], family) / 3600
            for name in _ACCELERATORS
        }
        hours = {name: hours[name] + own[name] for name in _ACCELERATORS}
        rows.append(_line(family, cost, own.values()))
    whole = Cost(*map(sum, zip(*totals, strict=True)))
    return [*rows, _line("all", whole, hours.values()), "", *_appetite(recorded)]


def _appetite(recorded: dict[str, dict[str, Any]]) -> list[str]:
    """Returns a table of what a device reads when it trains as fast as it can."""
    kinds = " | ".join(f"one {name}: images/s | GB/s" for name in _ACCELERATORS.values())
    rows = [f"| network | {kinds} |", "|---|" + "---:|" * (2 * len(_ACCELERATORS))]
    for family, (_, row_name) in _CASE_ROWS.items():
        cells = [f"{family} {row_name}"]
        for name in _ACCELERATORS:
            rate = images_per_second(recorded[name], family)
            cells += [f"{rate:,.0f}", f"{rate * math.prod(_IMAGE_SHAPE) / 1e9:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _line(name: str, cost: Cost, hours: Iterable[float]) -> str:
    images = cost.num_epochs * NUM_IMAGES
    cells = [name, cost.num_rows, f"{cost.num_epochs:,}", f"{images / 1e6:,.0f} million"]
    cells += [f"{cost.flops / 1e18:,.1f}", *(f"{each:,.1f}" for each in hours)]
    return f"| {' | '.join(map(str, cells))} |"
