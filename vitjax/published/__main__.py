"""Lists every published row beside what vitjax builds and measured for it.

python -m vitjax.published --seed=003 --row=110421

--record=WORKDIR takes the result of a finished run, or of those in a sweep, as the measured one of
its row, in a checkout. --json prints one object a row and line, --markdown what
vitjax/published/README.md holds, --cost what all galaxy rows would take. The exit code is 1 where a
count disagrees after corrections.
"""

import json
import sys
from collections.abc import Sequence

from vitjax import cli
from vitjax.errors import UserError


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    seed = command.string("seed", None, "Only the rows of this seed, 000 to 004.")
    row = command.string("row", None, "Only the rows called so.")
    command.section("Output")
    as_json = command.switch("json", "One JSON object a row.")
    recorded = command.string(
        "record", None, "Folder of a finished run of a row, or of a sweep, to be taken in."
    )
    as_markdown = command.switch("markdown", "The page vitjax/published/README.md.")
    cost = command.switch("cost", "What training all of seed 003's rows takes, predicted.")

    def main() -> int:
        if as_json.value and as_markdown.value:
            raise UserError("--json and --markdown given, expected one of them; leave one out")
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
        from vitjax.published import ledger_tables, rebuild

        entries = [rebuild.entry(each) for each in chosen]
        if as_json.value:
            print("\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries))
        elif as_markdown.value:
            whole = seed.value is None and row.value is None
            print(ledger_tables.markdown(entries, ledger.sweeps() if whole else []))
        else:
            print(ledger_tables.terminal(entries))
        return 1 if any(entry["disagreements"] for entry in entries) else 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
