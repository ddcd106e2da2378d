"""Which part may import which, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vitjax"
ALLOWED = {  # folder: the parts of vitjax that it may import besides itself
    "models": set(),
    "data": set(),
    "training": {"config", "data", "models"},
    "pretrained": {"cli", "config", "data", "models", "trained", "training"},
    "reporting": {"models"},
    "published": {"cli", "config", "data", "models", "training"},
    "benchmarking": {"data", "models", "training"},
}
ONLY_IN = {  # library: the only files that import it
    "tensorflow_datasets": {"data/tfds.py"},
    "matplotlib": {"reporting/drawing.py"},
    "orbax": {"training/checkpoint.py"},
    "huggingface_hub": {"pretrained/source.py"},
    "safetensors": {"pretrained/files.py"},
    "timm": {"pretrained/reference.py"},
    "torch": {"benchmarking/peers.py", "pretrained/reference.py"},
    "tensorboardX": {"training/logs.py"},
    "wandb": {"training/logs.py"},
    "tqdm": {"training/progress.py"},
    "transformers": {"pretrained/reference.py"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_one_way(folder):
    for path in (PACKAGE / folder).glob("*.py"):
        parts = {name.split(".")[1] for name in imports(path) if name.startswith("vitjax.")}
        assert parts - {folder} <= ALLOWED[folder], path


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_in_one_place(library):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users == ONLY_IN[library]


@pytest.mark.parametrize("module", ["vitjax", "vitjax.models", "vitjax.data", "vitjax.main"])
def test_import_is_light(module):
    heavy = ("tensorflow_datasets", "orbax", "tensorflow", "sklearn", "matplotlib")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("module", ["vitjax.main", "vitjax.report"])
def test_the_command_line_does_not_import_jax_for_help(module):
    code = f"import sys, {module}; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
