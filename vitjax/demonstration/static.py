"""The page as a folder of files, with the model in the browser."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vitjax.demonstration.about import describe
from vitjax.demonstration.recognizer import Recognizer
from vitjax.errors import UserError
from vitjax.machine.temporary import temporary_folder
from vitjax.serving.exporting import export

PAGE = Path(__file__).parent / "page"
PACKAGE = "onnxruntime-web@^1.23"  # of npm
# Of its folder dist/: what runs without a GPU.
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_NOTE = "It computes in this browser: nothing leaves it."


def write(
    recognizer: Recognizer, out: Path, runtime: Path | None, say: Callable[[str], None]
) -> None:
    """Writes the folder `out`, which any file server shows.

    `runtime` is an unpacked npm package onnxruntime-web; None: npm gets it. Raises UserError where
    that or the place is missing.
    """
    if out.exists():
        raise UserError(f"--static={out} exists, expected a new folder; change --static")
    if not out.parent.is_dir():
        raise UserError(f"--static={out}: {out.parent} is no folder; make it, or change --static")
    try:
        with temporary_folder(out.parent, f".{out.name}-") as made:
            folder = made / out.name
            folder.mkdir()
            _fill(folder, recognizer, runtime, say)
            folder.rename(out)
    except OSError as error:
        raise UserError(f"cannot write --static={out}: {error.strerror or error}") from error
    say(f"{out}: serve it with python -m http.server --directory={out}")


def _fill(
    folder: Path, recognizer: Recognizer, runtime: Path | None, say: Callable[[str], None]
) -> None:
    export(recognizer.predictor, folder / "model.onnx", "onnx", say)
    _copy_page(folder, recognizer)
    with _found(runtime) as dist:
        for name in _RUNTIME:
            shutil.copy(dist / name, folder / name)


def _copy_page(folder: Path, recognizer: Recognizer) -> None:
    for path in (*PAGE.glob("*.*"), *(PAGE / "static").glob("*.*")):  # the latter replace some
        shutil.copy(path, folder / path.name)
    page = folder / "index.html"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    charset = '<meta charset="utf-8">\n'
    page.write_text(page.read_text().replace(charset, f"{charset}{policy}\n"))
    predictor = recognizer.predictor
    about = describe(recognizer) | {
        "has_attention": False,
        "note": _NOTE,
        "fit": predictor.config.data.fit,
    }
    (folder / "about.json").write_text(json.dumps(about))


@contextmanager
def _found(runtime: Path | None) -> Iterator[Path]:
    """Gives the folder that has the runtime's files."""
    if runtime is not None:
        if missing := [name for name in _RUNTIME if not (runtime / "dist" / name).is_file()]:
            raise UserError(
                f"--runtime={runtime} has no dist/{missing[0]}; expected the unpacked npm package "
                f"{PACKAGE}"
            )
        yield runtime / "dist"
        return
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"there is no npm in PATH to get {PACKAGE}; install it, or unpack that package and "
            "name its folder with --runtime"
        )
    with temporary_folder() as folder:
        words = [npm, "pack", "--silent", PACKAGE]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        packed = list(folder.glob("*.tgz"))
        if done.returncode or not packed:
            last = (done.stderr.strip().splitlines() or ["no file"])[-1]
            raise UserError(f"npm pack {PACKAGE} failed ({last}); try --runtime")
        shutil.unpack_archive(packed[0], folder, "gztar", filter="data")
        yield folder / "package" / "dist"
