"""Ways to damage the JSON files of a run, as strategies of hypothesis."""

import json
from pathlib import Path

from hypothesis import strategies as st

_OTHERS = [None, True, 3, -1.5, 1e300, "many", [], [1], ["a", None], {}, {"a": 1}]


def _places(value, place=()):
    """Every place within a JSON value, as the keys that lead there."""
    yield place
    pairs = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else pairs:
        yield from _places(part, (*place, key))


@st.composite
def _changed(draw, value):
    """A JSON value with a part that is gone, or is of another type."""
    value = json.loads(json.dumps(value))
    place = draw(st.sampled_from([p for p in _places(value) if len(p) <= 4]))
    if not place:
        return draw(st.sampled_from(_OTHERS))
    part = value
    for key in place[:-1]:
        part = part[key]
    if draw(st.booleans()):
        del part[place[-1]]
    else:
        old = part[place[-1]]
        part[place[-1]] = draw(st.sampled_from([v for v in _OTHERS if type(v) is not type(old)]))
    return value


@st.composite
def _changed_lines(draw, lines):
    """Lines of which one is lost, doubled, damaged or changed, or two are swapped."""
    lines, i, j = list(lines), *draw(st.tuples(*[st.integers(0, len(lines) - 1)] * 2))
    how = draw(st.sampled_from(["lost", "doubled", "cut", "changed", "swapped"]))
    if how == "lost":
        del lines[i]
    elif how == "doubled":
        lines.insert(j, lines[i])
    elif how == "cut":
        lines[i] = lines[i][: draw(st.integers(0, len(lines[i]) - 1))]
    elif how == "changed":
        lines[i] = json.dumps(draw(_changed(json.loads(lines[i]))))
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return lines


@st.composite
def damaged(draw, folder: Path, names):
    """The name of a file in `folder`, one of `names`, and what it holds after some damage.

    None: it is gone.
    """
    name = draw(st.sampled_from(names))
    if draw(st.integers(0, 9)) == 0:
        return name, None
    text = (folder / name).read_text()
    if draw(st.integers(0, 4)) == 0:
        return name, text[: draw(st.integers(0, len(text) - 1))]
    if name.endswith(".jsonl"):
        return name, "".join(line + "\n" for line in draw(_changed_lines(text.splitlines())))
    return name, json.dumps(draw(_changed(json.loads(text))), indent=2)
