"""Results as text for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.reporting.comparison import Difference, Group, Side

_MOST_CLASSES = 20


def evaluation_table(found: Mapping[str, Any]) -> str:
    """Returns the numbers of eval.json for the terminal; of many classes only the worst."""
    low, high = found["accuracy_interval"]
    lines = [
        f"accuracy  {found['accuracy']:.4f} (95 %: {low:.4f} to {high:.4f}) on "
        f"{found['num_examples']:,} images of {found['split']}, top 5 {found['top5_accuracy']:.4f}"
    ]
    values = found["calibration"]
    text = f"NLL {values['nll']:.4f}, ECE {values['ece']:.4f}"
    if values["temperature"] is not None:
        text += (
            f"; with temperature {values['temperature']:.3f} of validation: NLL "
            f"{values['nll_scaled']:.4f}, ECE {values['ece_scaled']:.4f}"
        )
    lines += [f"trust     {text}", ""]
    classes = sorted(found["per_class"].items(), key=lambda item: item[1]["f1"])[:_MOST_CLASSES]
    shown = dict(classes)
    rows = [(n, v) for n, v in found["per_class"].items() if n in shown]
    means = [(key, found[key]) for key in ("macro_mean", "weighted_mean")]
    width = max(len(name) for name, _ in (*rows, *means))
    lines.append(f"{'class':<{width}}  precision  recall      f1  support")
    for name, of_class in (*rows, *means):
        line = f"{name:<{width}}  {of_class['precision']:>9.4f}  {of_class['recall']:.4f}  "
        line += f"{of_class['f1']:.4f}"
        lines.append(line + (f"  {of_class['support']:>7,}" if "support" in of_class else ""))
    hidden = len(found["per_class"]) - len(rows)
    return "\n".join([*lines, *([f"({hidden} classes with a higher F1 left out)"] * (hidden > 0))])


def side_line(side: Side) -> str:
    """Returns the accuracy of one side of a comparison."""
    text = f"{side.accuracies.mean():.4f}"
    if len(side.accuracies) > 1:
        deviation = side.accuracies.std(ddof=1)
        text += f" (mean of {len(side.accuracies)} runs, standard deviation {deviation:.4f})"
    return f"{side.name}  accuracy {text}"


def comparison_table(
    first: Side,
    second: Side,
    found: Difference,
    groups: Sequence[tuple[str, Sequence[Group]]],
) -> str:
    """Returns how much better the second side is, in all and in each group."""
    low, high = found.bootstrap
    lines = [
        f"{second.name} against {first.name}",
        f"difference {found.accuracy:+.4f} (95 % bootstrap over examples: {low:+.4f} to "
        f"{high:+.4f})",
    ]
    if found.p_value is not None:
        lines.append(
            f"right alone: {found.only_second:,} against {found.only_first:,}; McNemar's exact "
            f"test p = {found.p_value:.3g}"
        )
    if found.welch is not None:
        low, high = found.welch
        lines.append(f"95 % Welch interval over runs: {low:+.4f} to {high:+.4f}")
    for what, members in groups:
        width = max(len(what), *(len(group.name) for group in members))
        lines += ["", f"{what:<{width}}  images   first  second  difference"]
        lines += [
            f"{g.name:<{width}}  {g.num_images:>6,}  {g.first:.4f}  {g.second:.4f}  "
            f"{g.second - g.first:>+10.4f}"
            for g in members
        ]
    return "\n".join(lines)
