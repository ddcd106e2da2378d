"""The loop of the host over an engine whose numbers are known."""

import json

import numpy as np
import pytest
from small_runs import epoch_line

from vitjax.errors import Interrupted, UserError
from vitjax.machine.signals import SignalWatch
from vitjax.runs.record import Record
from vitjax.runs.run_folder import RunFolder
from vitjax.training.loop import Training
from vitjax.training.metrics import Metrics, StepSums


class Scripted:
    """Members with given validation losses by epoch, which fail at given steps."""

    steps_per_epoch, batch_size = 4, 8

    def __init__(self, losses, fails=None, resumed=0, kept=None):
        self.losses, self.fails = np.array(losses, float), fails or {}
        self.resumed, self.kept = resumed, kept or [set() for _ in losses]
        self.done = np.full(len(losses), resumed)
        self.skipped = np.zeros(len(losses), int)
        self.saved, self.best = [], []

    def resume(self):
        return self.resumed, np.ones(len(self.losses), bool)

    def kept_steps(self):
        return self.kept

    def compile(self):
        pass

    def seconds_waited(self):
        return None

    def train(self, active, first, stop):
        self.epoch = first // self.steps_per_epoch
        after = active.copy()
        for place in np.flatnonzero(active):
            fails = self.fails.get(place, stop)
            self.done[place] = min(fails, stop)
            after[place] = fails >= stop
        return after

    def steps_done(self):
        return self.done

    def metrics(self, losses):
        size = len(self.losses)
        return Metrics(np.array(losses), np.ones(size), np.ones(size, int), np.full(size, 2))

    def train_metrics(self):
        return self.metrics(np.zeros(len(self.losses)))

    def step_sums(self):
        size = len(self.losses)
        return StepSums(np.full(size, 6.0), np.full(size, 3), self.skipped)

    def validate(self):
        return self.metrics(self.losses[:, self.epoch])

    def learning_rates(self, step):
        return np.full(len(self.losses), 0.5)

    def keep_as_best(self, improved, step):
        self.best.append((step, improved.tolist()))

    def save(self, step, active):
        self.saved.append((step, active.tolist()))

    def wait(self):
        pass

    def first_bad_layer(self, place):
        return f"in layer {place}"


def training(tmp_path, engine, names=("a", "b"), patience=0, num_epochs=3, **options):
    records = []
    for place in range(len(engine.losses)):
        folder = tmp_path / str(place)
        folder.mkdir(exist_ok=True)
        record = Record(RunFolder(folder), None, select_by="loss", patience=patience)
        records.append(record)
    said = []
    options = dict(num_epochs=num_epochs, steps_per_call=0, say=said.append) | options
    return Training(engine, records, names, tmp_path, **options), records, said


def epochs(record):
    return [line["epoch"] for line in record.folder.metrics()]


def test_each_diverged_member_is_reported_with_its_own_step_and_layer(tmp_path):
    engine = Scripted([[1, 1, 1], [1, 1, 1], [1, 1, 1]], fails={0: 3, 2: 6})
    run, records, said = training(tmp_path, engine, names=("a", "b", "c"))
    run.train(3, SignalWatch())
    assert [line for line in said if line.startswith("diverged")] == [
        "diverged  a: NaN or infinity at step 3 (epoch 1), in layer 0, frozen",
        "diverged  c: NaN or infinity at step 6 (epoch 2), in layer 2, frozen",
    ]
    assert [epochs(record) for record in records] == [[], [1, 2, 3], [1]]
    assert [run.is_finished(place) for place in range(3)] == [False, True, False]


def test_a_validation_loss_that_is_not_finite_leaves_no_line(tmp_path):
    engine = Scripted([[1, np.nan, 1], [1, 1, 1]])
    run, records, said = training(tmp_path, engine)
    run.train(3, SignalWatch())
    assert "diverged  a: NaN or infinity at the validation loss of epoch 2, frozen" in said
    assert [epochs(record) for record in records] == [[1], [1, 2, 3]]


def test_a_run_of_its_own_that_fails_saves_nothing_and_says_nothing(tmp_path):
    engine = Scripted([[1, 1, 1]], fails={0: 6})
    run, _, said = training(tmp_path, engine, names=("",))
    run.train(3, SignalWatch())
    assert run.failures == {0: "step 6 (epoch 2), in layer 0"}
    assert [step for step, _ in engine.saved] == [4]
    assert not any("diverged" in line for line in said)


def test_patience_stops_each_member_by_itself(tmp_path):
    engine = Scripted([[1, 2, 3], [3, 2, 1]])
    run, records, said = training(tmp_path, engine, patience=1)
    run.train(3, SignalWatch())
    assert [epochs(record) for record in records] == [[1, 2], [1, 2, 3]]
    assert "stopping: a, no better validation in 1 epochs" in said
    assert engine.best == [(4, [True, True]), (8, [False, True]), (12, [False, True])]
    assert engine.saved[-1] == (12, [False, True])


def test_a_best_epoch_whose_state_is_lost_counts_no_more(tmp_path):
    lines = [epoch_line(epoch, valid_loss=float(epoch)) for epoch in (1, 2)]
    (tmp_path / "0").mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "0" / "metrics.jsonl").write_text(text)
    engine = Scripted([[1, 2, 3]], resumed=8, kept=[{8}])
    _, (record,), said = training(tmp_path, engine, names=("a",))
    assert said == ["a: the checkpoint of the best epoch (step 4) is lost; a later one counts"]
    assert record.best["step"] == 8


def test_epochs_without_their_lines_are_refused(tmp_path):
    message = r"metrics\.jsonl has 0 epochs, and the checkpoint of step 8 2; put back the whole"
    with pytest.raises(UserError, match=message):
        training(tmp_path, Scripted([[1, 1, 1]], resumed=8), names=("",))


def test_a_run_that_would_begin_anew_beside_its_epochs_is_refused(tmp_path):
    run, _, _ = training(tmp_path, Scripted([[1, 1, 1]]), names=("",))
    run.train(3, SignalWatch())
    with pytest.raises(UserError, match=r"has 3 epochs in metrics\.jsonl, and their checkpoints"):
        training(tmp_path, Scripted([[1, 1, 1]]), names=("",))


def test_what_came_after_the_restored_step_is_dropped(tmp_path):
    run, (record, _), _ = training(tmp_path, Scripted([[1, 1, 1], [1, 1, 1]]))
    run.train(3, SignalWatch())
    resumed = Scripted([[1, 1, 1], [1, 1, 1]], resumed=4, kept=[{4}, {4}])
    training(tmp_path, resumed)
    assert epochs(record) == [1]


def test_a_signal_before_the_first_step_saves_what_there_is(tmp_path):
    engine = Scripted([[1, 1, 1]])
    run, _, _ = training(tmp_path, engine, names=("",))
    signals = SignalWatch()
    signals.received = 15
    with pytest.raises(Interrupted, match=f"SIGTERM: saved at step 0; .*--workdir={tmp_path}"):
        run.train(3, signals)
    assert [step for step, _ in engine.saved] == [0]


def test_an_epoch_that_nobody_can_be_told_of_is_saved(tmp_path):
    def say(line):
        if line.startswith("epoch"):
            raise BrokenPipeError

    engine = Scripted([[1, 1, 1]])
    run, (record,), _ = training(tmp_path, engine, names=("",), say=say)
    with pytest.raises(BrokenPipeError):
        run.train(3, SignalWatch())
    assert (epochs(record), engine.saved) == ([1], [(4, [True])])


@pytest.mark.parametrize("begin", ["epoch", "diverged"])
@pytest.mark.parametrize("fails", [{0: 3}, {}])
def test_ctrl_c_that_ends_the_reader_of_the_output_too(begin, fails, tmp_path):
    signals = SignalWatch()

    def say(line):
        if line.startswith(begin):
            signals.received = 2
        if signals.received:
            raise BrokenPipeError

    engine = Scripted([[np.nan, 1, 1], [1, 1, 1]], fails)
    run, (_, record), _ = training(tmp_path, engine, say=say)
    with pytest.raises(Interrupted, match="SIGINT: saved at step 4"):
        run.train(3, signals)
    assert epochs(record) == [1]


def test_seconds_of_members_add_up_to_those_on_the_clock(tmp_path):
    run, records, _ = training(tmp_path, Scripted([[1, 1, 1]] * 4), names="abcd")
    run.train(1, SignalWatch())
    seconds = {record.lines[0]["seconds"] for record in records}
    assert len(seconds) == 1
    assert records[0].lines[0]["images_per_second"] > 0


def test_gradient_norms_are_means_and_steps_left_out_are_counted(tmp_path):
    engine = Scripted([[1], [1]])
    engine.skipped[1] = 2
    run, records, _ = training(tmp_path, engine, num_epochs=1)
    run.train(1, SignalWatch())
    (line,), (other,) = (record.folder.metrics() for record in records)
    assert (line["grad_norm"], line.get("skipped")) == (2.0, None)
    assert (other["grad_norm"], other["skipped"]) == (2.0, 2)


@pytest.mark.parametrize(
    ("chance", "steps", "warned"),
    [(0.5, 50, ["a", "b"]), (0.45, 50, []), (0.5, 49, []), (0.1, 50, [])],
)
def test_what_has_learnt_nothing_is_said_once(chance, steps, warned, tmp_path):
    engine = Scripted([[1, 1, 1, 1], [1, 1, 1, 1]])
    engine.steps_per_epoch = steps
    run, _, said = training(tmp_path, engine, num_epochs=4 if steps == 50 else 2, chance=chance)
    run.train(4 if steps == 50 else 2, SignalWatch())
    lines = [line for line in said if "what guessing gives" in line]
    assert [line.split()[1][0] for line in lines] == warned
    assert all("learning rate of 0.5 too high" in line for line in lines)
