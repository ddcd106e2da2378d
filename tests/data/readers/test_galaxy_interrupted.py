"""The preparation of Galaxy Zoo 2 interrupted, or done twice at once."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import REPO, environment
from galaxies import load, rows_of

from vitjax import data

KILLED = """
import os, signal, sys
from vitjax import data
from vitjax.data.readers.galaxy_zoo2.archive import Archive

read, files = Archive.read, []

def read_or_die(self, file):
    files.append(file)
    if len(files) == 50:  # within the last split
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self, file)

Archive.read = read_or_die
data.load("galaxy_zoo2", data_dir=sys.argv[1], image_size=8)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_preparation_is_not_taken_for_whole(own):
    words = [sys.executable, "-c", KILLED, str(own)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), cwd=REPO)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (left,) = (own / "galaxy_zoo2").iterdir()
    assert left.name.startswith("incomplete.")
    (left / "dataset_info.json").write_text("{}")  # which is the last file to be written
    lines = []
    assert len(load(own, lines).splits["test"]) == 12
    assert lines[0].startswith("preparing")


def test_ctrl_c_leaves_nothing(own):
    def interrupt(line):
        if "60 images" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.load("galaxy_zoo2", data_dir=str(own), image_size=8, on_status=interrupt)
    assert list((own / "galaxy_zoo2").iterdir()) == []


def test_another_process_may_be_faster(own, prepared):
    def be_faster(line):
        if "60 images" in line:
            shutil.copytree(prepared / "galaxy_zoo2", own / "galaxy_zoo2", dirs_exist_ok=True)

    dataset = data.load("galaxy_zoo2", data_dir=str(own), image_size=8, on_status=be_faster)
    assert len(dataset.splits["test"]) == 12
    assert os.listdir(own / "galaxy_zoo2") == ["1.0.0"]


def test_prepares_parquet_where_array_record_is_absent(own, monkeypatch):
    import importlib.util

    pytest.importorskip("pyarrow")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *a: None if name == "array_record" else find(name, *a),
    )
    test = load(own).splits["test"]
    assert list(Path(own).glob("galaxy_zoo2/1.0.0/*.parquet*"))
    assert {row["galaxyID"] for row in rows_of(own, "test")} == set(test.ids)
