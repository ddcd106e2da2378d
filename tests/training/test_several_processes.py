"""One run of several processes: its numbers, its ends, and going on with another number of them."""

import json
import shutil
import signal

import pytest
from commands import (
    command,
    ends,
    main,
    main_in_process_of_its_own,
    results,
    start_together,
    steps,
    wait_for_epochs,
)

CONFIG = "--config=configs/vit_digits.py:debug"
LONG = (CONFIG, "--config.num_epochs=6", "--config.steps_per_call=1")


def together(count, workdir, *words, of_last=()):
    return ends(start_together(count, *command(*words, f"--workdir={workdir}"), of_last=of_last))


def assert_equal(workdir, expected, tolerance):
    for line, other in zip(results(workdir), results(expected), strict=True):
        assert line == pytest.approx(other, rel=0, abs=tolerance)
    of_test = [json.loads((folder / "eval.json").read_text()) for folder in (workdir, expected)]
    for name in ("accuracy", "loss", "num_examples", "step"):
        assert of_test[0][name] == pytest.approx(of_test[1][name], rel=0, abs=tolerance)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A long run of one process without interruption."""
    workdir = tmp_path_factory.mktemp("whole")
    main_in_process_of_its_own(*LONG, f"--workdir={workdir}")
    return workdir


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(digits_run, tmp_path):
    (code, out, error), (second, silent, nothing) = together(2, tmp_path, CONFIG)
    assert (code, second) == (0, 0), error + nothing
    assert "devices   2 x cpu" in out
    assert (silent, nothing) == ("", "")
    assert_equal(tmp_path, digits_run, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stream", ["always", pytest.param("never", marks=pytest.mark.long)]
)  # always: own shares
def test_they_give_those_of_one_with_as_many_devices_to_the_digit(stream, tmp_path):
    words = CONFIG, f"--config.data.stream={stream}"
    for code, _, error in together(2, tmp_path / "two", *words):
        assert code == 0, error
    main_in_process_of_its_own(CONFIG, f"--workdir={tmp_path / 'one'}", JAX_NUM_CPU_DEVICES="2")
    assert_equal(tmp_path / "two", tmp_path / "one", 1e-7)


@pytest.mark.slow
@pytest.mark.long
def test_parameters_may_be_split_over_processes(tmp_path):
    words = [CONFIG, "--config.model.hidden_dim=128", "--config.model.mlp_dim=512"]
    tuned = [f"--config.finetune.weights={tmp_path / 'two'}", "--config.finetune.train_only=head"]
    for name, more in (("two", []), ("tuned", tuned)):
        options = [*words, *more, "--config.mesh.fsdp=2"]
        for code, _, error in together(2, tmp_path / name, *options):
            assert code == 0, error
        main_in_process_of_its_own(*words, *more, f"--workdir={tmp_path / name}_alone")
        assert_equal(tmp_path / name, tmp_path / f"{name}_alone", 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "number"),
    [(1, signal.SIGTERM), pytest.param(0, signal.SIGHUP, marks=pytest.mark.long)],
)
@pytest.mark.usefixtures("heard_hangups")
def test_a_signal_at_one_of_two_saves_on_both_and_four_go_on(who, number, whole, tmp_path):
    both = start_together(2, *command(*LONG, f"--workdir={tmp_path}"))
    wait_for_epochs(2, tmp_path, both)
    both[who].send_signal(number)
    (code, _, error), (second, silent, nothing) = ends(both)
    assert (code, second) == (128 + number, 128 + number), error + nothing
    assert (silent, nothing) == ("", "")
    step = steps(tmp_path)[-1]
    assert error.startswith(f"{number.name}: saved at step {step}; go on with the same options")
    for code, out, error in together(4, tmp_path, *LONG):
        assert code == 0, error
        assert not out or f"resuming at step {step}\n" in out
    assert_equal(tmp_path, whole, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_lost_process_ends_the_other_and_one_goes_on(lost, whole, tmp_path):
    both = start_together(2, *command(*LONG, f"--workdir={tmp_path}"))
    wait_for_epochs(2, tmp_path, both)
    both[lost].kill()
    code, _, error = ends([both[1 - lost]], timeout=60)[0]
    assert code == 75, error
    assert error.startswith(f"error: process {lost} of 2 was lost")
    assert error.count("\n") == 1
    main_in_process_of_its_own(*LONG, f"--workdir={tmp_path}")
    assert_equal(tmp_path, whole, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "of_last", "error"),
    [
        (["--config.seed=1"], [], "holds a run with another config: seed was 0, is 1"),
        ([], ["--config.seed=1"], "process 1 has another config than process 0"),
        (["--config.data.batch_size=3"], [], "batch_size=3 is not divisible by 2 device"),
    ],
)
def test_what_one_refuses_all_refuse_in_one_line(words, of_last, error, digits_run, tmp_path):
    workdir = shutil.copytree(digits_run, tmp_path / "run")
    if "batch_size" in error:
        workdir = tmp_path / "new"
    (code, _, said), *others = together(2, workdir, CONFIG, *words, of_last=of_last)
    assert code == 1
    assert error in said
    assert said.count("\n") == 1
    assert [(end, err) for end, _, err in others] == [(1, "")]


@pytest.mark.slow
def test_one_that_cannot_go_on_says_why_and_ends_the_other(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "no" / "where")  # process 0 alone writes it
    (code, _, error), (second, _, lost) = together(2, tmp_path, CONFIG)
    assert (code, second) == (1, 75), error + lost
    assert error == f"error: cannot write {tmp_path / 'metrics.jsonl'}: No such file or directory\n"
    assert lost.startswith("error: process 0 of 2 was lost")
    assert lost.count("\n") == 1


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(digits_run, tmp_path):
    workdir = shutil.copytree(digits_run, tmp_path / "run")
    (code, out, error), (second, silent, _) = together(2, workdir, CONFIG)
    assert (code, second, silent) == (0, 0, ""), error
    assert f"the run in {workdir} is finished" in out
    assert "is finished" in main(CONFIG, f"--workdir={workdir}")[0]
