"""Compares runs on the same test examples: is one better, by how much, and where.

python -m vitjax.compare runs/a runs/b [runs/c ...] [--figure=comparison.png]
python -m vitjax.compare runs/a0,runs/a1,runs/a2 runs/b0,runs/b1,runs/b2
python -m vitjax.compare runs/a runs/b --metadata=galaxies.csv --column=magnitude

Each side is a run, or several seeds of it behind commas; the first is what the others are compared
with. Runs not evaluated yet are evaluated first. --metadata is a CSV whose column id or path, or
the one that --key names, calls examples as predictions.npz does: a galaxy by its galaxyID. Numbers
are cut into five groups.
"""

from pathlib import Path

from absl import flags

from vitjax import cli

METADATA = flags.DEFINE_string("metadata", None, "CSV file on the examples.")
COLUMN = flags.DEFINE_string("column", None, "Column of it to compare by.")
KEY = flags.DEFINE_string("key", "", "Column of it that names the examples; default: id or path.")
FIGURE = cli.png_flag("figure", "PNG file to draw the groups to.")


def main(words: list[str]) -> int:
    """Runs the command."""
    if len(words) < 2:
        raise ValueError("two runs or more are compared; give their folders")
    if (METADATA.value is None) != (COLUMN.value is None):
        raise ValueError("--metadata and --column belong together; give both")
    cli.use_compile_cache()
    import numpy as np

    from vitjax.evaluation import predictions
    from vitjax.reporting import comparison
    from vitjax.reporting.terminal import comparison_table, side_line

    names = [name for word in words for name in _runs(word)]
    runs = {name: predictions(name) for name in names}
    comparison.check_same(names, [runs[name] for name in names])
    sides = [comparison.side(w, [runs[name] for name in _runs(w)]) for w in words]
    some = runs[names[0]]
    by = [("class", some.labels, list(some.class_names))]
    if METADATA.value and COLUMN.value:
        texts = comparison.read_column(Path(METADATA.value), COLUMN.value, some.ids, KEY.value)
        by.append((COLUMN.value, *comparison.binned(texts)))
    print("\n".join(side_line(side) for side in sides))
    panels = []
    for second in sides[1:]:
        first = sides[0]
        groups = [(w, comparison.groups(first, second, np.asarray(v), n)) for w, v, n in by]
        print("\n" + comparison_table(first, second, comparison.difference(first, second), groups))
        panels += [(first.name, second.name, what, found) for what, found in groups]
    if FIGURE.value:
        from vitjax.reporting.comparison_figure import comparison_figure
        from vitjax.reporting.figures import write_png

        write_png(Path(FIGURE.value), comparison_figure(panels))
        print(f"written to {FIGURE.value}")
    return 0


def _runs(word: str) -> list[str]:
    """Returns the folders of a side; a sweep's members have commas in their names."""
    names = [word] if Path(word).is_dir() else word.split(",")
    if not all(names):
        raise ValueError(f"{word!r} names no run beside a comma; expected RUN,RUN")
    return names


if __name__ == "__main__":
    cli.run_with_words(main)
