"""Says what is on images, with the model of a finished or running run.

python -m vitjax.predict --workdir=runs/digits IMAGE... [--top=5] [--json]
find DIR -name '*.png' | python -m vitjax.predict --workdir=runs/digits -

IMAGE is a file of any format that Pillow reads, gray or in colour, of any size, or a folder of such
files; - takes such names from standard input, one a line. What cannot be read is reported on
standard error, the rest is done, and the exit code is 1. --attention=OUT.png draws where the model
looks on the first image.
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitjax import cli
from vitjax.compile_cache import use_compile_cache
from vitjax.errors import UserError
from vitjax.text import json_line, one_line, printable

if TYPE_CHECKING:
    import numpy as np

    from vitjax.inference.predictor import Prediction, Predictor

_CHUNK = 1024  # images at a time, so that a folder of many fits in memory


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, takes_words=True)
    command.section("What")
    workdir = command.path("workdir", None, "Folder of the run.", required=True)
    step = command.string("step", "best", "best, last, or the step of a checkpoint.")
    command.section("Output")
    top = command.integer("top", 5, "Classes to show of each image.", lower_bound=1)
    as_json = command.switch("json", "One JSON object an image and line.")
    attention = command.png("attention", "PNG file, of attention on the first image.")

    def main() -> int:
        import vitjax

        use_compile_cache()
        paths, num_bad = _paths(command.words)
        number = int(step.value) if step.value.isdecimal() else step.value
        predictor = vitjax.load(workdir.value, number).predictor
        num_bad += _predict(predictor, paths, top.value, as_json.value, attention.value)
        return 1 if num_bad else 0

    return command.run(main, argv)


def _predict(
    predictor: "Predictor", paths: Sequence[str], top: int, as_json: bool, attention: str | None
) -> int:
    """Prints what is on each image; returns how many cannot be read."""
    import numpy as np

    from vitjax.inference.predictor import most_probable

    num_bad = 0
    for start in range(0, len(paths), _CHUNK):
        fitted = []
        for path in paths[start : start + _CHUNK]:
            try:
                fitted.append((path, predictor.fit(path)))
            except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
                num_bad += _complain(path, error)
        if not fitted:
            continue
        images = np.stack([image for _, image in fitted])
        for (path, _), row in zip(fitted, predictor.predict(images), strict=True):
            found = most_probable(row, predictor.class_names, top)
            print(_text(path, found, as_json), flush=True)
        if attention:
            _draw(predictor, images[0], attention)
            attention = None
    return num_bad


def _paths(names: list[str]) -> tuple[list[str], int]:
    """Returns the files that names stand for, and how many names stand for none."""
    from vitjax.data.readers.folder import image_files

    if not names:
        raise UserError("no image given; name files or folders, or - for names on standard input")
    paths: list[str] = []
    num_bad = 0
    for name in itertools.chain.from_iterable(map(_listed, names)):
        if not Path(name).is_dir():
            paths.append(name)
            continue
        try:
            found = image_files(Path(name))
        except UserError as error:  # a folder that cannot be read
            num_bad += _complain(name, error)
            continue
        paths += found
        if not found:
            num_bad += _complain(name, UserError("a folder without images"))
    return paths, num_bad


def _listed(name: str) -> list[str]:
    """Returns the name, or those on standard input for -."""
    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if name == "-" else [name]


def _complain(path: str, error: Exception) -> int:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        reason = "no image"
    else:
        reason = getattr(error, "strerror", None) or one_line(error)
    print(f"error: {printable(path)}: {reason}", file=sys.stderr, flush=True)
    return 1


def _text(path: str, found: list["Prediction"], as_json: bool) -> str:
    if as_json:
        classes = [{"class": name, "probability": value} for name, value in found]
        return json_line({"image": path, "predictions": classes})
    return f"{path}  " + "  ".join(f"{name} {value:.1%}" for name, value in found)


def _draw(predictor: "Predictor", image: "np.ndarray", file: str) -> None:
    import numpy as np

    from vitjax.reporting.attention_maps import attention_on, attention_picture
    from vitjax.reporting.drawing import write_png

    inputs = np.asarray(predictor.preprocess(image[None]))
    maps = attention_on(predictor.model, predictor.variables, inputs)
    picture = attention_picture("attention", "First image", image, maps.heads[0], maps.rollout[0])
    write_png(Path(file), picture.figure)


if __name__ == "__main__":
    sys.exit(run())
