"""Says what is on images, with the model of a finished or running run.

python -m vitjax.predict --workdir=runs/digits IMAGE... [--top=5] [--json]
find DIR -name '*.png' | python -m vitjax.predict --workdir=runs/digits -

IMAGE is a file of any format that Pillow reads, gray or in colour, of any size, or a folder of such
files; - takes such names from standard input, one a line. What cannot be read is reported on
standard error, the rest is done, and the exit code is 1. --attention=OUT.png draws where the model
looks on the first image.
"""

import io
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    import numpy as np

    from vitjax.trained import Trained

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
STEP = flags.DEFINE_string("step", "best", "best, last, or the step of a checkpoint.")
TOP = flags.DEFINE_integer("top", 5, "Classes to show of each image.", lower_bound=1)
JSON = flags.DEFINE_bool("json", False, "One JSON object an image and line.")
ATTENTION = cli.png_flag("attention", "PNG file, of attention on the first image.")

_CHUNK = 1024  # images at a time, so that a folder of many fits in memory


def main(names: list[str]) -> int:
    """Runs the command; returns its exit code."""
    cli.use_compile_cache()
    import numpy as np

    from vitjax.trained import load

    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    paths, num_bad = _paths(names)
    step = STEP.value
    trained = load(WORKDIR.value, int(step) if step.isdigit() else step)
    attention_file = ATTENTION.value
    for start in range(0, len(paths), _CHUNK):
        fitted = []
        for path in paths[start : start + _CHUNK]:
            try:
                fitted.append((path, trained.fit(path)))
            except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
                num_bad += _complain(path, error)
        if not fitted:
            continue
        images = np.stack([image for _, image in fitted])
        for (path, _), row in zip(fitted, trained.predict(images), strict=True):
            print(_text(path, row, trained.class_names), flush=True)
        if attention_file:
            _draw(trained, images[0], attention_file)
            attention_file = None
    return 1 if num_bad else 0


def _paths(names: list[str]) -> tuple[list[str], int]:
    """Returns the files that names stand for, and how many names stand for none."""
    from vitjax.data.folder import image_files

    if not names:
        raise ValueError("no image given; name files or folders, or - for names on standard input")
    paths: list[str] = []
    num_bad = 0
    for name in itertools.chain.from_iterable(map(_listed, names)):
        if not Path(name).is_dir():
            paths.append(name)
        elif found := image_files(Path(name)):
            paths += found
        else:
            num_bad += _complain(name, ValueError("a folder without images"))
    return paths, num_bad


def _listed(name: str) -> list[str]:
    """Returns the name, or those on standard input for -."""
    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if name == "-" else [name]


def _complain(path: str, error: Exception) -> int:
    from PIL import UnidentifiedImageError

    from vitjax.data.decode import one_line

    if isinstance(error, UnidentifiedImageError):
        reason = "no image"
    else:
        reason = getattr(error, "strerror", None) or one_line(error)
    print(f"error: {path}: {reason}", file=sys.stderr, flush=True)
    return 1


def _text(path: str, probabilities: "np.ndarray", class_names: tuple[str, ...]) -> str:
    from vitjax.trained import most_probable

    found = most_probable(probabilities, class_names, TOP.value)
    if JSON.value:
        classes = [{"class": name, "probability": value} for name, value in found]
        return json.dumps({"image": path, "predictions": classes}, ensure_ascii=False)
    return f"{path}  " + "  ".join(f"{name} {value:.1%}" for name, value in found)


def _draw(trained: "Trained", image: "np.ndarray", file: str) -> None:
    import numpy as np

    from vitjax.reporting.attention import attention_maps
    from vitjax.reporting.attention_figure import attention_figure
    from vitjax.reporting.figures import write_png

    inputs = np.asarray(trained.preprocess(image[None]))
    maps = attention_maps(trained.model, trained.variables, inputs)
    write_png(Path(file), attention_figure(image, maps.heads[0], maps.rollout[0]))


if __name__ == "__main__":
    cli.run_with_words(main)
