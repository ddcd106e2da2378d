"""Rows and sweeps as Markdown."""

import pytest
from commands import REPO, main

from vitjax.published import cost_tables, ledger, ledger_tables, rebuild
from vitjax.published.ledger import find

SWEEP = {
    "model_name": "mixer", "data_name": "mnist", "command": "python -m vitjax.sweep",
    "hardware": "1 x cpu", "versions": {"jax": "0"},
    "members": [
        {"name": "rate=1,seed=0", "overrides": {"rate": 1, "seed": 0}, "status": "finished"},
        {"name": "rate=9,seed=0", "overrides": {"rate": 9, "seed": 0}, "status": "diverged"},
    ],
    "over_seeds": [
        {"name": "a", "num_seeds": 2, "valid_accuracy": 0.5, "mean": 0.25, "std": 0.125,
         "published": 0.2},
        {"name": "b", "num_seeds": 1, "valid_accuracy": 0.4, "mean": 0.3, "std": None,
         "published": None},
    ],
}  # fmt: skip


def test_a_sweep_has_a_line_for_each_mean_and_says_what_did_not_finish():
    text = ledger_tables.markdown([], [SWEEP])
    assert "<summary>Sweep of mixer on mnist over rate, seed</summary>" in text
    assert "| a | 2 | 50.00 | 25.00 ± 12.50 | 20.00 |" in text
    assert "| b | 1 | 40.00 | 30.00 |  |" in text
    assert "- rate=9,seed=0: diverged" in text


def test_a_row_measured_with_several_seeds_shows_their_deviation():
    entry = rebuild.entry(find("vit_light", "mnist"))
    entry["measured"] = {
        "accuracies": {"test_acc": 91.5}, "deviations": {"test_acc": 2.12},
        "training_seeds": [0, 2], "command": "python -m vitjax.sweep", "hardware": "1 x cpu",
        "versions": {"jax": "0"},
    }  # fmt: skip
    page = ledger_tables.markdown([entry])
    assert "| 91.50 ± 2.12 |" in page
    by = "`python -m vitjax.sweep` on 1 x cpu; jax 0, random seeds 0, 2"
    assert f"- measured, mnist: {by}" in page


@pytest.mark.slow
def test_the_cost_of_all_galaxy_rows_is_what_the_command_prints():
    page = (REPO / "vitjax/docs/scaling.md").read_text()
    out, _ = main("--cost", module="vitjax.published")
    start = "<!-- written by: python -m vitjax.published --cost -->\n"
    assert page.partition(start)[2].partition("<!-- end -->")[0] == out


def test_the_cost_of_a_row_by_hand():
    (row,) = [row for row in ledger.rows(seed="003") if row.row == "arXiv"]
    cost = cost_tables.cost_of([row])
    assert cost == (1, 200, 3 * 198_181_888 * 99_808 * 200)  # forward, and backward twice
    (head,) = [row for row in ledger.rows(seed="003") if row.row == "122921"][:1]
    assert (
        cost_tables.cost_of([head]).macs == 17_563_066_368 * 99_808 * 200
    )  # the head alone learns
