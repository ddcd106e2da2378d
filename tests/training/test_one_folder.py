"""Two trainings that are given one folder."""

import pytest
from commands import lines
from small_runs import quiet, small

import vitjax.training.run
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.training.run import train_and_evaluate


def run(config, workdir):
    return train_and_evaluate(config, workdir, quiet)


def test_a_refused_training_leaves_nothing_in_the_folder(tmp_path):
    with RunFolder(tmp_path).lock(), pytest.raises(UserError, match="another process is training"):
        run(small(num_epochs=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"seed": 1}, "holds a run with another config: seed was 1, is 0"),
        ({}, "another process has trained in .* meanwhile; the same command goes on"),
    ],
)
def test_one_that_trained_while_this_one_read_its_data_is_noticed(
    others, words, tmp_path, monkeypatch
):
    prepare = vitjax.training.run.prepare

    def slow(*args):
        with monkeypatch.context() as patch:
            patch.setattr("vitjax.training.run.prepare", prepare)
            run(small(num_epochs=1, **others), tmp_path)
        return prepare(*args)

    monkeypatch.setattr("vitjax.training.run.prepare", slow)
    with pytest.raises(UserError, match=words):
        run(small(num_epochs=1), tmp_path)
    assert len(lines(tmp_path)) == 1
