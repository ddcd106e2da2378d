"""The published rows and their corrections, read from rows/seed_NNN.json.

A row keeps its cells as printed. A correction names a cell, the value that it should have, and why;
`hyperparameters`, which the configs read, has the corrected values. Nothing of JAX is needed here.
"""

import dataclasses
import difflib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax import files
from vitjax.errors import UserError
from vitjax.runs import schema

ROWS = Path(__file__).parent / "rows"
RESULTS = Path(__file__).parent / "results"
MEASURED = (  # what a file in results/ says of a row at least
    "seed", "family", "row", "accuracies", "training_seeds", "command", "hardware", "versions",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Correction:
    """A printed cell that is wrong or blank."""

    cell: str
    printed: str
    value: Any  # None: withdrawn, no value is known
    why: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One published model or run; (seed, family, row) is its key."""

    seed: str
    family: str  # of models, such as vit or linformer
    row: str  # id as printed
    printed_in: str  # file of the seed, or what of its author's
    printed_ids: Mapping[str, str]  # table there: the id printed in it
    printed: Mapping[str, str]  # hyperparameters, as printed
    published: Mapping[str, str]  # results, as printed
    config: str | None  # FILE:ARG of --config; None: `reason` says why
    reason: str = ""
    aliases: tuple[str, ...] = ()  # ids that a shell takes as they are
    corrections: tuple[Correction, ...] = ()
    excerpt: str = ""  # the publication's words, where it has no table
    log: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the author's records add
    tool_macs: Mapping[str, Any] | None = None  # what the author's tool counted, and why
    note: str = ""
    counted: str = "all"  # the parameters that the row prints: all, or those trained

    @property
    def names(self) -> tuple[str, ...]:
        """What the row may be called; the first is what its config takes."""
        argument = (self.config or "").partition(":")[2]
        names = dict.fromkeys((argument, self.row, *self.aliases))
        return tuple(name for name in names if name)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Parsed and corrected; a blank cell is None."""
        return {cell: self.corrected(cell) for cell in self.printed}

    def corrected(self, cell: str) -> Any:
        """Returns the correction of a cell, or else what is printed, as a number where it is."""
        for correction in self.corrections:
            if correction.cell == cell:
                value = correction.value
                return tuple(value) if isinstance(value, list) else value
        return parse(self.printed.get(cell) or self.published.get(cell, ""))

    @property
    def published_params(self) -> int | None:
        """The parameter count as printed."""
        return parse(self.published.get("params", ""))

    @property
    def published_macs(self) -> int | None:
        """The multiply-accumulates as printed."""
        return parse(self.published.get("macs", ""))

    @property
    def accuracies(self) -> dict[str, float | None]:
        """Published accuracies in percent, corrected; None where no number is printed."""
        return {cell: _percent(self.corrected(cell)) for cell in self.published if "_acc" in cell}


def _percent(value: Any) -> float | None:
    """Returns an accuracy in percent; up to 1 it is a share."""
    if not isinstance(value, int | float):
        return None
    return round(100 * value, 4) if value <= 1 else float(value)


def parse(text: str) -> Any:
    """Returns a printed cell as int, float, bool or tuple where it is one; "" and "-" are None.

    Marks around a number (**bold**, ~, ^, %, "s", a remark in brackets) are left out.
    """
    text = text.strip().replace("**", "")
    if text in ("", "-", "?", "X"):
        return None
    if text.lower() in ("yes", "true", "no", "false"):
        return text.lower() in ("yes", "true")
    if text.startswith("[") or ", " in text:
        return tuple(parse(part) for part in text.strip("[]").split(","))
    if square := re.fullmatch(r"(\d+)x\1", text):
        return int(square[1])
    if clock := re.fullmatch(r"(\d+):(\d\d)", text):
        return 60 * int(clock[1]) + int(clock[2])
    number = re.sub(r"^~|[%^]$| ?s$| \(.*\)$", "", text)
    if re.fullmatch(r"\d{1,3}(,\d{3})+|\d+", number):
        return int(number.replace(",", ""))
    if thousands := re.fullmatch(r"(\d+)k", number):
        return 1000 * int(thousands[1])
    try:
        return float(number)
    except ValueError:
        return text


@functools.cache
def read(folder: Path) -> tuple[Row, ...]:
    """Reads and checks every file in `folder`; raises UserError that names the file and the row."""
    ledger: list[Row] = []
    for path in files.visible(folder, "*.json"):
        content = json.loads(path.read_text())
        for fields in content["rows"]:
            try:
                ledger.append(_to_row(content["seed"], content["tables"], fields))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path.name}, row {fields.get('row')!r}: {error}") from error
    taken: dict[tuple[str, str], str] = {}
    for row in ledger:
        for name in row.names:
            if (row.family, name) in taken:
                raise UserError(f"two rows of {row.family} are called {name!r}; rename one")
            taken[row.family, name] = row.row
    return tuple(ledger)


def _to_row(seed: str, tables: Mapping[str, Any], fields: Mapping[str, Any]) -> Row:
    values = dict(fields)
    corrections = tuple(Correction(**c) for c in values.pop("corrections", ()))
    row = Row(
        seed=seed,
        printed_in=tables[next(iter(fields["tables"]))]["source"],
        printed_ids=values.pop("tables"),
        printed=values.pop("hyperparameters"),
        aliases=tuple(values.pop("aliases", ())),
        corrections=corrections,
        **values,
    )
    cells = {**row.printed, **row.published}
    for correction in corrections:
        if cells.get(correction.cell) != correction.printed:
            raise UserError(
                f"a correction of {correction.cell!r} says {correction.printed!r} is printed, "
                f"expected {cells.get(correction.cell)!r}; change its field printed"
            )
    if both := set(row.printed) & set(row.published):
        raise UserError(f"cells {both} are hyperparameters and published; rename one")
    if (row.config is None) == (not row.reason):
        raise UserError("expected either a config or a reason why there is none")
    return row


def rows(seed: str | None = None, family: str | None = None) -> tuple[Row, ...]:
    """Returns the rows of a seed ("3" or "003") and of a family; None: of all."""
    if seed is not None:
        known = sorted({row.seed for row in read(ROWS)})
        if seed.zfill(3) not in known:
            raise UserError(f"unknown seed {seed!r}; choose --seed from {', '.join(known)}")
    return tuple(
        row
        for row in read(ROWS)
        if (seed is None or row.seed == seed.zfill(3)) and (family is None or row.family == family)
    )


def named(name: str, among: Sequence[Row], what: str) -> list[Row]:
    """Returns the rows called `name` (an id or an alias); a UserError names the nearest id."""
    found = [row for row in among if name in row.names]
    if not found:
        near = difflib.get_close_matches(name, [n for row in among for n in row.names], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = list(dict.fromkeys(row.names[0] for row in among))
        more = ", ..." if len(known) > 30 else ""
        raise UserError(f"unknown {what} {name!r}; choose from {', '.join(known[:30])}{more}{hint}")
    return found


def find(family: str, row: str) -> Row:
    """Returns the row of a family by its id or alias; a UserError names the nearest id."""
    among = rows(family=family)
    if not among:
        families = dict.fromkeys(r.family for r in read(ROWS))
        raise UserError(f"unknown family {family!r} given, expected one of {', '.join(families)}")
    return named(row, among, f"row of {family}")[0]


def measured(row: Row, folder: Path = RESULTS) -> dict[str, Any] | None:
    """Returns what a run of vitjax measured for the row, from results/*.json, or None.

    Such a file has the keys of MEASURED, with accuracies in percent by the names of the published
    ones; all else that it has is passed on. Recorded sweeps lie beside them.
    """
    return result(row, None, folder)


def result(row: Row, recipe: str | None, folder: Path = RESULTS) -> dict[str, Any] | None:
    """Returns what was measured for the row as published, or by a recipe's config, or None."""
    wanted = (row.seed, row.family, row.row, recipe)
    for path in files.visible(folder, "*.json"):
        if path.name.startswith("sweep_"):
            continue
        content = _content(path)
        if missing := set(MEASURED) - set(content):
            raise UserError(f"{path} lacks {', '.join(sorted(missing))}; add it")
        if (*(content[key] for key in ("seed", "family", "row")), content.get("recipe")) == wanted:
            return content
    return None


def sweeps(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Returns the recorded sweeps: what their sweep.json says, their command and hardware."""
    return [_content(path) for path in files.visible(folder, "sweep_*.json")]


def _content(path: Path) -> dict[str, Any]:
    """Returns what a file of results holds; raises UserError for a damaged one."""
    try:
        return schema.parse(path.read_bytes(), dict[str, Any])
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); put it back") from error
