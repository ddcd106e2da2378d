"""The notebooks, executed cell by cell in their debug form."""

import json
import re

import pytest
from commands import REPO, environment

NOTEBOOKS = sorted((REPO / "vitjax/notebooks").glob("*.ipynb"))


def cells(path, kind="code"):
    found = json.loads(path.read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_few_short_and_without_outputs(path):
    assert len(cells(path)) + len(cells(path, "markdown")) <= 15
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert len(cell["source"]) <= 16


def in_debug_form(source, data_dir):
    """The cell with small runs, real CIFAR-100 where it lies, and nothing installed."""
    source = re.sub(r"^%pip .*$", "", source, flags=re.MULTILINE)
    source = re.sub(r'get_config\("(\w+)"', r'get_config("\1:debug"', source)
    source = re.sub(r'get_config\("(\w+:\w+)"', r'get_config("\1,debug"', source)
    source = re.sub(r"num_epochs=\d+", "num_epochs=2", source)
    if "vit_cifar100" in source:
        source = source.replace(
            "num_epochs=2", f'num_epochs=2, **{{"data.data_dir": "{data_dir}"}}'
        )
    return source.replace("range(400)", "range(120)").replace("(folder, 1200)", "(folder, 60)")


WRITTEN = {  # what each leaves, besides outputs
    "quickstart": ["kept/digits/eval.json", "digits.onnx"],
    "galaxies": ["runs/vit/report/index.html", "runs/linformer/eval.json", "runs/shapes/eval.json"],
}


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, real_data, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra [test] is not installed")
    nbformat = pytest.importorskip("nbformat")
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            data_dir = real_data("tfds") if path.stem == "quickstart" else ""
            cell.source = in_debug_form(cell.source, data_dir)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        {kind for output in cell.outputs for kind in output.get("data", ())}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert sum("text/html" in kinds for kinds in shown) >= 4  # runs, curves, the report, the sweep
    assert all((tmp_path / name).exists() for name in WRITTEN[path.stem])
