"""Lists every published row beside what vitjax builds and measured for it.

python -m vitjax.published --seed=003 --row=110421

--record=WORKDIR takes the result of a finished run, or of those in a sweep, as the measured one of
its row.
--json prints one object a row and line, --markdown README's section. The exit code is 1 where a
count disagrees after corrections.
"""

import json

from absl import flags

from vitjax import cli

SEED = flags.DEFINE_string("seed", None, "Only the rows of this seed, 000 to 004.")
ROW = flags.DEFINE_string("row", None, "Only the rows called so.")
JSON = flags.DEFINE_bool("json", False, "One JSON object a row.")
RECORD = flags.DEFINE_string(
    "record", None, "Folder of a finished run of a row, or of a sweep, to be taken in."
)
MARKDOWN = flags.DEFINE_bool("markdown", False, "The section of README.")


def main() -> int:
    """Runs the command; returns its exit code."""
    if JSON.value and MARKDOWN.value:
        raise ValueError("--json and --markdown given, expected one of them; leave one out")
    if RECORD.value is not None:
        from vitjax.published.record import record

        print(*record(RECORD.value), sep="\n")
        return 0
    from vitjax.published import ledger

    chosen = list(ledger.rows(seed=SEED.value))
    if ROW.value is not None:
        chosen = ledger.named(ROW.value, chosen, "--row")
    from vitjax.published import rebuild, tables

    entries = [rebuild.entry(row) for row in chosen]
    if JSON.value:
        print("\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries))
    elif MARKDOWN.value:
        whole = SEED.value is None and ROW.value is None
        print(tables.markdown(entries, ledger.sweeps() if whole else []))
    else:
        print(tables.terminal(entries))
    return 1 if any(entry["disagreements"] for entry in entries) else 0


if __name__ == "__main__":
    cli.run(main)
