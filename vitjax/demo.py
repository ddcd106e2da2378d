"""A web page on which a run says what it sees, while one draws a digit or drops an image.

python -m vitjax.demo --workdir=runs/mnist
python -m vitjax.demo --workdir=runs/mnist --host=0.0.0.0 --port=8000
python -m vitjax.demo --workdir=runs/mnist --static=page

The page is at the address that is printed, for this machine alone unless --host says otherwise;
images sent to it are kept nowhere. It needs the extra [demo]. --static writes a folder for any file
server instead, in which the model computes in the browser; it needs the extra [export] and npm.
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitjax import cli
from vitjax.compile_cache import use_compile_cache
from vitjax.errors import UserError

if TYPE_CHECKING:
    from vitjax.demonstration.app import Shown

_LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    workdir = command.path("workdir", None, "Folder of the run.", required=True)
    command.section("Where")
    host = command.string("host", "127.0.0.1", "Address to listen on; 0.0.0.0: on all.")
    port = command.integer(
        "port", 7860, "Port to listen on; 0: any that is free.", lower_bound=0, upper_bound=65535
    )
    command.section("Output")
    static = command.path("static", None, "Folder to write, with the model in the browser.")
    runtime = command.path(
        "runtime", None, "Unpacked npm package onnxruntime-web, where npm is not to get it."
    )

    def main() -> int:
        if static.value:
            return _write(workdir.value, static.value, runtime.value)
        for library in ("fastapi", "uvicorn"):
            if importlib.util.find_spec(library) is None:
                raise UserError(f"the page needs {library}: pip install '.[demo]' in the checkout")
        use_compile_cache()
        shown = _shown(workdir.value)

        from vitjax.demonstration.app import make_app, serve

        hosts = (*_LOCAL, host.value) if host.value in _LOCAL else ("*",)
        serve(make_app(shown, hosts), host.value, port.value, _say)
        return 0

    return command.run(main, argv)


def _write(workdir: str, out: str, runtime: str | None) -> int:
    from vitjax.demonstration import static
    from vitjax.demonstration.recognizer import Recognizer
    from vitjax.inference.predictor import load_predictor

    recognizer = Recognizer(load_predictor(workdir))
    static.write(recognizer, Path(out), Path(runtime) if runtime else None, _say)
    return 0


def _shown(workdir: str) -> "Shown":
    """Reads the run, compiles its model, and finds its mistakes where its data are at hand."""
    from vitjax.demonstration.about import describe
    from vitjax.demonstration.app import Shown
    from vitjax.demonstration.mistakes import find_mistakes
    from vitjax.demonstration.recognizer import Recognizer
    from vitjax.inference.predictor import load_predictor

    recognizer = Recognizer(load_predictor(workdir))
    recognizer.warm_up()
    return Shown(recognizer, find_mistakes(recognizer.predictor, _say), describe(recognizer))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(run())
