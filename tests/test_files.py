"""Files that are written whole or not at all."""

import errno
import os

import pytest

from vitjax import UserError, files


def test_two_that_write_one_file_at_once_do_not_meet(tmp_path):
    path = tmp_path / "eval.json"
    with files.replacing(path) as first:
        first.write(b"first, longer")
        files.write(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first, longer"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "eval.json"
    files.write(path, "before")
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.write("no bytes")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_its_place_is_said(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory"):
        files.write(tmp_path, "text")


def test_a_folder_that_may_not_be_entered_is_said(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(files.os, "stat", refused)
    with pytest.raises(UserError, match=r"cannot read --workdir=.*: Permission denied; make it"):
        files.local_folder(tmp_path)


@pytest.mark.parametrize("name", ["[draft] runs", "a[0]", "a\\b"])
def test_a_folder_that_checkpoints_do_not_survive_is_refused(name, tmp_path):
    if os.sep in name:
        pytest.skip("a backslash is a slash here")
    with pytest.raises(UserError, match="without brackets and backslashes"):
        files.folder_to_write(tmp_path / name / "run")


@pytest.mark.parametrize("name", ["a b", "50%", "what?", "a*", "it's [", "]a[", "ä", "{y}", "a:b"])
def test_a_folder_that_they_survive_is_taken(name, tmp_path):
    assert files.folder_to_write(tmp_path / name) == tmp_path / name
