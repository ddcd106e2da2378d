"""Lists every published row beside what vitjax builds and measured for it.

python -m vitjax.published --seed=003 --row=110421

--record=WORKDIR takes the result of a finished run, or of those in a sweep, as the measured one of
its row, in a checkout. --json prints one object a row and line, --markdown what
vitjax/published/README.md holds, --results the README's table, --cost what all galaxy rows would
take. --pending lists the rows and recipes that were not measured, cheapest first, with the commands
that do so; with --run it works through them for the time of --budget, goes on where it has left
off, and records each. The exit code is 1 where a count disagrees after corrections.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vitjax import cli
from vitjax.errors import UserError
from vitjax.text import json_line

if TYPE_CHECKING:
    from vitjax.published.ledger import Row


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    seed = command.string("seed", None, "Only the rows of this seed, 000 to 004.")
    row = command.string("row", None, "Only the rows called so.")
    command.section("Output")
    as_json = command.switch("json", "One JSON object a row.")
    recorded = command.path(
        "record", None, "Folder of a finished run of a row, or of a sweep, to be taken in."
    )
    as_markdown = command.switch("markdown", "The page vitjax/published/README.md.")
    results = command.switch("results", "The README's table of rows that have recipes.")
    cost = command.switch("cost", "What training all of seed 003's rows takes, predicted.")
    command.section("What is not measured")
    is_pending = command.switch("pending", "What was not measured, with time and commands.")
    run_them = command.switch("run", "Measures what is pending, and records it, in a checkout.")
    budget = command.string("budget", "1h", "Time for that: 90s, 25m, 3h.")
    seeds = command.integer("seeds", 3, "How many random seeds measure each.", lower_bound=1)
    workdir = command.path("workdir", "runs/published", "Folder for the runs of what is pending.")
    data_dir = command.path("data_dir", "", "Where their data lie; default: TFDS's own folder.")

    def main() -> int:
        if as_json.value and as_markdown.value:
            raise UserError("--json and --markdown given, expected one of them; leave one out")
        if run_them.value and not is_pending.value:
            raise UserError("--run is for what is pending; add --pending")
        if recorded.value is not None:
            from vitjax.published.recording import checkout_results, record

            print(*record(recorded.value, checkout_results()), sep="\n")
            return 0
        if cost.value:
            from vitjax.published import cost_tables

            print("\n".join(cost_tables.markdown()))
            return 0
        from vitjax.published import ledger

        chosen = list(ledger.rows(seed=seed.value))
        if row.value is not None:
            chosen = ledger.named(row.value, chosen, "--row")
        if is_pending.value:
            return _pending(
                chosen,
                range(seeds.value),
                budget.value if run_them.value else None,
                workdir.value,
                data_dir.value,
            )
        if results.value:
            from vitjax.published import recipes

            chosen = [each for each in chosen if recipes.recipes_of(each)]
        whole = seed.value is None and row.value is None
        flags = {"results": results, "json": as_json, "markdown": as_markdown}
        form = next((name for name, flag in flags.items() if flag.value), "terminal")
        return _show(chosen, form, ledger.sweeps() if whole else [])

    return command.run(main, argv)


def _show(rows: Sequence["Row"], form: str, sweeps: Sequence[dict[str, Any]]) -> int:
    """Prints what is built for the rows in a form; returns 1 where counts are not the published."""
    from vitjax.published import ledger_tables, rebuild

    entries = [rebuild.entry(each) for each in rows]
    if form == "results":
        print(ledger_tables.results(entries))
    elif form == "json":
        print("\n".join(json_line(entry) for entry in entries))
    elif form == "markdown":
        print(ledger_tables.markdown(entries, sweeps))
    else:
        print(ledger_tables.terminal(entries))
    return 1 if any(entry["disagreements"] for entry in entries) else 0


def _pending(
    rows: Sequence["Row"], seeds: Sequence[int], budget: str | None, folder: str, data_dir: str
) -> int:
    """Shows what is pending of the rows, or with a budget works through it."""
    import jax

    from vitjax.published import pending
    from vitjax.published.recording import checkout_results, record

    seconds = None if budget is None else pending.parse_budget(budget)
    results = None if budget is None else checkout_results()
    platform = jax.default_backend()
    tasks = pending.tasks(rows, platform, seeds)
    if seconds is None or results is None:
        print(pending.table(tasks, platform, folder, data_dir))
        return 0
    return pending.work(tasks, seconds, folder, data_dir, lambda path: record(path, results))


if __name__ == "__main__":
    sys.exit(run())
