"""Which part may import which, and what an import may cost."""

import ast
import collections
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "vitjax"
# Import nothing of vitjax but each other.
LEAVES = {"command_help", "config_paths", "errors", "files", "machine", "prng", "text"}
COMMANDS = {
    *("benchmark", "check", "compare", "completion", "demo", "evaluate", "export", "main"),
    *("predict", "report", "sweep"),
}
ALLOWED = {  # folder or module: what of vitjax it may import besides itself and the leaves
    **{leaf: set() for leaf in sorted(LEAVES)},
    "models": set(),
    "data": {"vitjax"},  # its version
    "config": {"data", "models"},
    "config_file": {"config"},
    "compile_cache": set(),
    "cli": {"config", "config_file"},
    "runs": {"cli", "config", "vitjax"},  # cli: its command; vitjax: its version
    "pretrained": {"cli", "data", "models", "runs"},  # cli: its commands
    "training": {"config", "data", "models", "pretrained", "runs"},
    "reporting": {"models"},
    "sweeps": {"config", "data", "runs", "training"},
    "inference": {"config", "data", "models", "reporting", "runs", "training"},
    "serving": {"inference", "pretrained", "vitjax"},  # vitjax: its version
    "published": {"cli", "config", "config_file", "models", "runs", "training"},
    "experiments": {"published"},
    "targets": {"data", "models", "training"},
    "benchmarking": {"data", "models", "sweeps", "targets", "training"},
    "demonstration": {"data", "inference", "reporting", "runs", "serving"},
    "docs": set(),
    "results": {"reporting"},
    "data_check": {"data", "reporting", "training"},
    "api": {
        *("compile_cache", "config", "config_file", "inference", "models", "published"),
        *("reporting", "results", "runs", "serving", "sweeps"),
        "training",
    },
    "__init__": {"api"},
    "__main__": set(),
    # A command is its flags and a call of the API, or of a room that the API does not open.
    "main": {"cli", "vitjax"},
    "evaluate": {"cli", "vitjax"},
    "export": {"cli", "serving", "vitjax"},  # serving: its types
    "report": {"cli", "vitjax"},
    "sweep": {"cli", "config_file", "training", "vitjax"},
    "demo": {"cli", "compile_cache", "demonstration", "inference"},
    "predict": {"cli", "compile_cache", "data", "inference", "reporting", "vitjax"},
    "compare": {"cli", "compile_cache", "inference", "reporting"},
    "benchmark": {"benchmarking", "cli", "config_file", "reporting", "training"},
    "check": {"cli", "data_check", "targets"},
    "completion": {"__main__", "cli", "config", "models", "published"},
}
ONLY_IN = {  # library: the only files that import it
    "absl": {"cli.py", "data/stream.py"},
    "fastapi": {"demonstration/app.py"},
    "grain": {"data/stream.py"},
    "requests": {"data/readers/downloads.py"},
    "tensorflow_datasets": {
        "data/readers/galaxy_zoo2/builder.py",
        "data/readers/tfds.py",
        "data/readers/tfds_preparation.py",
    },
    "matplotlib": {"reporting/drawing.py"},
    "orbax": {"runs/checkpoints.py"},
    "huggingface_hub": {"pretrained/locate.py"},
    "safetensors": {"pretrained/weight_files.py"},
    "torch": {"benchmarking/peers.py"},
    "tensorboardX": {"runs/logs.py"},
    "wandb": {"runs/logs.py"},
    "flatbuffers": {"serving/stablehlo.py"},
    "onnx": {"serving/onnx_file.py"},
    "onnxruntime": {"serving/onnx_file.py"},
    "tqdm": {"training/progress.py"},
    "uvicorn": {"demonstration/app.py"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


@functools.cache
def imports(path):
    """What a file imports, wherever in it, also what only type checkers read."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def room(path):
    """The folder of a file in the package, or the name of a module that stands in none."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_table_knows_every_room():
    assert {room(path) for path in FILES} == set(ALLOWED)
    assert set(ALLOWED) > COMMANDS


def test_the_table_has_no_circle():
    order = list(graphlib.TopologicalSorter(ALLOWED).static_order())  # raises CycleError
    assert set(order) >= set(ALLOWED)


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    allowed = ALLOWED[part] | LEAVES | {part}
    for path in FILES:
        if room(path) == part:
            names = [name for name in imports(path) if name.partition(".")[0] == "vitjax"]
            assert {name.split(".")[1] if "." in name else name for name in names} <= allowed, path


def test_no_two_files_have_one_name():
    names = collections.Counter(path.name for path in FILES)
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_in_one_place(library):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users == ONLY_IN[library]


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def names_of_vitjax(tree):
    """What a file calls the modules, classes and functions that it imports of vitjax."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "vitjax":
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.partition(".")[0] == "vitjax"]
            yield from (alias.asname or alias.name for alias in names)


def private_names(path):
    """The names of vitjax that begin with _ and that a test imports, reads or replaces."""
    tree = ast.parse(path.read_text())
    ours = set(names_of_vitjax(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "vitjax":
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute):
            if ast.unparse(node.value) in ours and is_private(node.attr):
                yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith("vitjax.") and any(map(is_private, node.value.split("."))):
                yield node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "delattr")):
            target, name = [*map(ast.unparse, node.args), "", ""][:2]
            if target in ours and is_private(name.strip("'")):
                yield f"{target}.{name}"


def test_finds_private_names(tmp_path):
    file = tmp_path / "test_it.py"
    file.write_text(
        """
import vitjax.data.readers.csv
from vitjax.data.readers import npz as other
from vitjax.data.readers.folder import _some, image_files
vitjax.data.readers.csv._find(other._keys, other.read, image_files, other.__doc__)
monkeypatch.setattr(other, "_keys", None)
monkeypatch.delattr("vitjax.data.readers.tfds._png")
self._own, __file__
"""
    )
    assert sorted(private_names(file)) == [
        *("_some", "other.'_keys'", "other._keys", "vitjax.data.readers.csv._find"),
        "vitjax.data.readers.tfds._png",
    ]


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix()
)
def test_tests_use_public_names(path):
    if path != Path(__file__):  # which names some above
        assert list(private_names(path)) == []


def in_a_process(code):
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


@pytest.mark.parametrize("module", ["vitjax", "vitjax.models", "vitjax.data", "vitjax.main"])
def test_import_is_light(module):
    heavy = ("tensorflow_datasets", "orbax", "tensorflow", "sklearn", "matplotlib")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    assert in_a_process(code) == "[]"


@pytest.mark.parametrize("module", ["vitjax", "vitjax.cli", "vitjax.main", "vitjax.machine.host"])
def test_import_starts_no_jax(module):
    code = f"import sys, {module}; print([m for m in ('jax', 'numpy') if m in sys.modules])"
    assert in_a_process(code) == "[]"


def test_commands_live_in_one_process_and_help_does_not_import_jax():
    """Their flags are defined when they are called, so that they never meet."""
    code = (
        f"import importlib, sys\n"
        f"for name in {sorted(COMMANDS)}:\n"
        f"    command = importlib.import_module(f'vitjax.{{name}}')\n"
        f"    assert [command.run(['--help']) for _ in range(2)] == [0, 0]\n"
        f"print([name for name in ('jax', 'matplotlib') if name in sys.modules])"
    )
    assert in_a_process(code).splitlines()[-1] == "[]"


def test_a_system_without_posix_locks_and_affinity_imports_all():
    """As Windows and macOS are: nothing that they lack is asked for before it is needed."""
    said = in_a_process(
        "import os, sys; sys.modules['fcntl'] = None; del os.sched_getaffinity\n"
        "import vitjax.api, vitjax.sweeps.grid, vitjax.machine.host\n"
        "print(vitjax.machine.host.num_cores() >= 1)"
    )
    assert said == "True"
