"""What the JSON files of runs and of sweeps hold; schema.py checks it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from vitjax.runs.schema import Above0, Count, NotBelow0, Number, Share

Status = Literal["finished", "dropped", "diverged"]  # how a member of a sweep ends, the best first


class ConfigFile(TypedDict):
    """config.json; saved_config.py reads its options."""

    config: dict[str, Any]
    command: str
    versions: dict[str, str]
    hardware: NotRequired[str]


class DatasetFile(TypedDict):
    """dataset.json."""

    name: str
    class_names: list[str]
    mean: list[float]  # per channel, of pixels in [0, 1]
    std: list[Above0]
    image_shape: list[Number]  # H, W, C
    num_examples: dict[str, Count]
    labels: NotRequired[dict[str, str]]  # a digest of each split's, and of ids; absent before
    pixels: NotRequired[dict[str, str]]  # a digest of some images of each split; absent before
    teacher: NotRequired[str]  # the digest of its checkpoint's manifest


class EpochLine(TypedDict):
    """A line of metrics.jsonl."""

    step: Number
    epoch: Number
    train_loss: float
    train_accuracy: NotBelow0
    valid_loss: NotRequired[float]
    valid_accuracy: NotRequired[Share]
    lr: float
    images_per_second: NotBelow0
    seconds: NotBelow0
    data_wait: NotRequired[float]
    grad_norm: NotRequired[NotBelow0]
    skipped: NotRequired[Count]


class Scores(TypedDict):
    """The mean of classes."""

    precision: Share
    recall: Share
    f1: Share


class ClassScores(Scores):
    """Of a class."""

    support: Count


class Bin(TypedDict):
    """Of confidence; an empty one has no means."""

    confidence: Share | None
    accuracy: Share | None
    count: Count


class Calibration(TypedDict):
    """Temperature and what it scales are None together."""

    ece: NotBelow0
    nll: NotBelow0
    bins: list[Bin]
    temperature: Above0 | None
    ece_scaled: NotBelow0 | None
    nll_scaled: NotBelow0 | None


class EvalFile(TypedDict):
    """eval.json: what training writes, and, not required, what evaluation adds."""

    split: str
    accuracy: Share
    loss: float
    num_examples: Number
    num_params: Count
    num_macs: Count
    train_loss: NotRequired[float]
    train_accuracy: NotRequired[NotBelow0]
    valid_loss: NotRequired[float]
    valid_accuracy: NotRequired[Share]
    step: Number
    epoch: Number
    num_epochs_run: Number
    seconds: NotBelow0
    seed: Count
    model_name: str
    data_name: str
    accuracy_interval: NotRequired[list[Share]]
    top5_accuracy: NotRequired[Share]
    per_class: NotRequired[dict[str, ClassScores]]
    macro_mean: NotRequired[Scores]
    weighted_mean: NotRequired[Scores]
    confusion_matrix: NotRequired[list[list[Count]]]
    calibration: NotRequired[Calibration]
    sha256: NotRequired[str]  # of all the rest


DATA_PLACE = ("data_dir", "image_root", "label_column")  # which tell other data from others


class MeasuredFile(TypedDict):
    """Such as eval-csv-hospital.json: what was measured on another data set."""

    data_name: str
    data_dir: NotRequired[str]  # those that were not given, and older files, do not tell
    image_root: NotRequired[str]
    label_column: NotRequired[str]


class DivergedFile(TypedDict):
    """diverged.json, of a run that ended where its numbers were not finite."""

    where: str


class Corrupted(TypedDict):
    """Of a corruption: what its strengths are, and the accuracy at each."""

    unit: str
    strengths: list[float]
    accuracy: list[Share]


class CorruptionsFile(TypedDict):
    """corruptions.json: the accuracy on corrupted images of a split."""

    split: str
    data_name: str
    step: Number
    num_examples: Number
    checkpoint: NotRequired[str]  # the digest of its manifest
    accuracy: Share  # on the images as they are
    mean_accuracy: Share
    corruptions: dict[str, Corrupted]
    sha256: NotRequired[str]  # of all the rest


class PlanFile(TypedDict):
    """plan.json of a sweep."""

    config: dict[str, Any]
    command: str
    members: dict[str, dict[str, Any]]  # name -> what it changes in the config
    halve: list[Count]
    versions: dict[str, str]
    hardware: str


class WeightsFile(TypedDict):
    """weights.json of a sweep."""

    sha256: dict[str, str]  # what config.finetune.weights names -> of the arrays


class Outcome(TypedDict):
    """How a member of a sweep has ended, with what eval.json or its best epoch holds."""

    status: Status
    segment: Count
    step: Count
    epoch: NotRequired[Number]
    accuracy: NotRequired[Share]
    loss: NotRequired[float]
    train_accuracy: NotRequired[NotBelow0]
    train_loss: NotRequired[float]
    valid_accuracy: NotRequired[Share]
    valid_loss: NotRequired[float]


class DoneFile(TypedDict):
    """done.json of members that train together."""

    segments: Count
    outcomes: dict[str, Outcome]


class PartsFile(TypedDict):
    """parts.json of a group: the names of the members that train together."""

    parts: list[list[str]]


class SweepMember(TypedDict):
    """A member as sweep.json holds it; the seed and what follows of finished ones."""

    overrides: dict[str, Any]
    status: Status
    accuracy: NotRequired[Share]
    train_accuracy: NotRequired[NotBelow0]
    valid_accuracy: NotRequired[Share]
    seed: NotRequired[Count]
    epoch: NotRequired[Number]
    num_params: NotRequired[Count]
    seconds: NotRequired[NotBelow0]


class SweepFile(TypedDict):
    """sweep.json."""

    members: list[SweepMember]
    sha256: NotRequired[str]  # of all the rest


EVALUATED = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")  # of the epoch
_MEASURED = (
    "accuracy_interval",
    "top5_accuracy",
    "per_class",
    "macro_mean",
    "weighted_mean",
    "confusion_matrix",
    "calibration",
)

_OF_STRENGTHS = ("strengths", "accuracy")


def misfit_in_dataset(content: Mapping[str, Any]) -> str:
    """Returns what of dataset.json does not fit the rest of it; "" if all does."""
    shape, names = content["image_shape"], content["class_names"]
    if len(shape) != 3:
        return f"image_shape is {shape}, expected height, width and channels"
    for name in ("mean", "std"):
        if len(content[name]) != shape[2]:
            return f"{name} has {len(content[name])} numbers, expected {shape[2]}"
    if not names or len(set(names)) < len(names):
        return f"class_names has {len(names)} names, expected some, each once"
    return ""


def misfit_in_line(content: Mapping[str, Any]) -> str:
    """Returns what of a line of metrics.jsonl, or of eval.json, does not fit the rest of it."""
    if ("valid_loss" in content) != ("valid_accuracy" in content):
        return "it has one of valid_loss and valid_accuracy, expected both or none"
    return ""


def misfit_in_evaluation(content: Mapping[str, Any]) -> str:
    """Returns what of eval.json does not fit the rest of it; "" if all does."""
    missing = [name for name in _MEASURED if name not in content]
    if 0 < len(missing) < len(_MEASURED):
        return f"{missing[0]} is missing"
    return misfit_in_line(content) or ("" if missing else _misfit_in_measured(content))


def misfit_with_lines(content: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """Returns what of eval.json the lines of metrics.jsonl, if any, tell otherwise."""
    if not lines:
        return ""
    if content["num_epochs_run"] != len(lines):
        return f"num_epochs_run is {content['num_epochs_run']}, and there are {len(lines)} lines"
    for line in lines[content["epoch"] - 1 : content["epoch"]]:
        shared = [key for key in ("step", *EVALUATED) if line.get(key) != content.get(key)]
        return f"{shared[0]} is not that of epoch {content['epoch']}" if shared else ""
    return f"epoch {content['epoch']} has no line"


def _misfit_in_measured(content: Mapping[str, Any]) -> str:
    matrix, classes, bins = (
        content["confusion_matrix"],
        content["per_class"],
        [b for b in content["calibration"]["bins"] if b["count"]],
    )
    if {len(matrix), *map(len, matrix)} != {len(classes)}:
        return f"confusion_matrix has {len(matrix)} rows, expected {len(classes)} of as many"
    if not any(scores["support"] for scores in classes.values()):
        return "per_class has no class with images"
    if len(content["accuracy_interval"]) != 2:
        return "accuracy_interval has not two numbers"
    if not bins or any(None in (b["confidence"], b["accuracy"]) for b in bins):
        return "calibration.bins lack the means of their images"
    scaled = ("temperature", "ece_scaled", "nll_scaled")
    if len({content["calibration"][name] is None for name in scaled}) > 1:
        return f"calibration has some of {', '.join(scaled)}, expected all or none"
    return ""


def misfit_in_corruptions(content: Mapping[str, Any]) -> str:
    """Returns what of corruptions.json does not fit the rest of it; "" if all does."""
    lengths = {len(of[key]) for of in content["corruptions"].values() for key in _OF_STRENGTHS}
    if len(lengths) != 1 or 0 in lengths:
        return "corruptions are not all of as many strengths"
    return ""


def misfit_in_done(content: Mapping[str, Any]) -> str:
    """Returns what of done.json does not fit the rest of it; "" if all does."""
    wanted = ("epoch", "accuracy", "loss", "valid_loss", "valid_accuracy")
    for name, outcome in content["outcomes"].items():
        if lacking := _lacking(outcome, wanted):
            return f"outcomes.{name}.{lacking} is missing"
        if outcome["segment"] > content["segments"]:
            told = f"outcomes.{name}.segment is {outcome['segment']}"
            return f"{told}, and segments {content['segments']}"
        if misfit := misfit_in_line(outcome):
            return f"outcomes.{name}: {misfit}"
    return ""


def misfit_in_sweep(content: Mapping[str, Any]) -> str:
    """Returns what of sweep.json does not fit the rest of it; "" if all does."""
    for i, member in enumerate(content["members"]):
        if lacking := _lacking(member, ("seed", "epoch", "accuracy", "num_params", "seconds")):
            return f"members[{i}].{lacking} is missing"
    return ""


def _lacking(outcome: Mapping[str, Any], names: Iterable[str]) -> str:
    """Returns a name that a finished member lacks; "" where it has all."""
    if outcome["status"] != "finished":
        return ""
    return next((name for name in names if name not in outcome), "")
