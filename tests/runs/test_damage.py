"""Whatever happens to a run's JSON files: one line, or the right result, from every command."""

import shutil
import tempfile
from pathlib import Path

import commands
import numpy as np
import pytest
from commands import results
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutations import damaged
from PIL import Image
from small_runs import quiet, small

import vitjax
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.training.run import train_and_evaluate

OF_RUN = ["config.json", "dataset.json", "metrics.jsonl", "eval.json"]
EXAMPLES = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take minutes
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of three epochs, evaluated, with an image to predict."""
    workdir = tmp_path_factory.mktemp("damage") / "run"
    train_and_evaluate(small(), workdir, quiet)
    commands.main(f"--workdir={workdir}", module="vitjax.evaluate")
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(workdir.parent / "image.png")
    return workdir


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed in the save of its last epoch."""
    workdir = tmp_path_factory.mktemp("killed") / "run"
    append = RunFolder.append_metrics

    def append_and_die(self, line):
        append(self, line)
        if line["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "append_metrics", append_and_die)
        with pytest.raises(KeyboardInterrupt):
            train_and_evaluate(small(), workdir, quiet)
    return workdir


def manifests(workdir):
    return [str(p.relative_to(workdir)) for p in workdir.glob("checkpoints/*/manifest.json")]


class Copy:
    """A copy of a run with one file changed."""

    def __init__(self, workdir, name, text):
        self._workdir, self._name, self._text = workdir, name, text

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        workdir = shutil.copytree(self._workdir, Path(self._folder.name) / "run")
        if self._text is None:
            (workdir / self._name).unlink()
        else:
            (workdir / self._name).write_text(self._text)
        return workdir

    def __exit__(self, *exc_info):
        self._folder.cleanup()


def look_at(workdir):
    """What Python shows of a run without its model."""
    found = vitjax.load(workdir)
    return [repr(found), found._repr_html_(), found.history._repr_html_(), found.num_params]


def train_on(workdir):
    """What ends a run that goes on; a finished one shows it at once."""
    return train_and_evaluate(small(), workdir, quiet)


def line_or_result(do, *args):
    """What a call returns, or None if it has refused in one line."""
    try:
        return do(*args)
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    return None


@settings(EXAMPLES, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_one_line_in_python(data, run):
    with Copy(run, *data.draw(damaged(run, OF_RUN))) as workdir:
        line_or_result(look_at, workdir)
        line_or_result(train_on, workdir)


def call(module, *words):
    """The output of a command, None if it has refused; fails for anything but one line."""
    code, out, err = commands.call(*words, module=module)
    assert code in (0, 1), out + err
    assert code == 0 or (err.startswith("error: ") and err.count("\n") == 1), err
    return out if code == 0 else None


@pytest.mark.long
@settings(EXAMPLES, max_examples=100)
@given(data=st.data())
def test_a_damaged_file_is_one_line_of_each_command(data, run, tmp_path):
    image = run.parent / "image.png"
    expected = call("vitjax.predict", f"--workdir={run}", image)
    with Copy(run, *data.draw(damaged(run, OF_RUN + manifests(run)))) as workdir:
        predicted = call("vitjax.predict", f"--workdir={workdir}", image)
        assert predicted in (None, expected)
        call("vitjax.compare", run, workdir)
        call("vitjax.evaluate", f"--workdir={workdir}", "--split=valid")
        call("vitjax.evaluate", f"--workdir={workdir}")
        call("vitjax.report", f"--workdir={workdir}", "--num_maps=1", "--num_mistakes=1")
        output = tmp_path / "weights.safetensors"
        call("vitjax.export", f"--workdir={workdir}", f"--out={output}", "--format=safetensors")
        call("vitjax.published", f"--record={workdir}")


@pytest.mark.long
@settings(EXAMPLES, max_examples=40)
@given(data=st.data())
def test_a_damaged_run_goes_on_to_the_right_result_or_not_at_all(data, run, killed):
    names = ["config.json", "dataset.json", "metrics.jsonl", *manifests(killed)]
    with Copy(killed, *data.draw(damaged(killed, names))) as workdir:
        if line_or_result(train_on, workdir) is not None:
            assert results(workdir) == results(run)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("sweep") / "sweep"
    vitjax.train_grid(small(num_epochs=2), "seed=0,1", workdir, halve=[1], say=quiet)
    return workdir


@pytest.mark.long
@settings(EXAMPLES, max_examples=40)
@given(data=st.data())
def test_a_damaged_file_of_a_sweep_is_one_line(data, sweep):
    def go_on(workdir):
        return vitjax.train_grid(small(num_epochs=2), "seed=0,1", workdir, halve=[1], say=quiet)

    members = [f"runs/seed={seed}/{name}" for seed in (0, 1) for name in OF_RUN]
    of_sweep = ["plan.json", "groups/0/parts.json", "groups/0/0/done.json"] * 3
    names = of_sweep + [name for name in members if (sweep / name).exists()]
    expected = [member["name"] for member in go_on(sweep).ranked]
    with Copy(sweep, *data.draw(damaged(sweep, names))) as workdir:
        found = line_or_result(go_on, workdir)
        if found is not None:
            assert [member["name"] for member in found.ranked] == expected
            for name in expected:
                line_or_result(look_at, workdir / "runs" / name)
            line_or_result(found._repr_html_)
