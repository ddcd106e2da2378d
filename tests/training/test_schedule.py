"""Learning rates at chosen steps, by hand."""

import numpy as np
import pytest

from vitjax.errors import UserError
from vitjax.training.schedule import make_schedule


def rates(steps, **options):
    schedule = make_schedule(learning_rate=0.1, steps_per_epoch=10, num_epochs=8, **options)
    return [float(schedule(np.int32(step))) for step in steps]


def test_constant():
    assert rates([0, 79], name="constant") == pytest.approx([0.1, 0.1])


def test_step_is_steplr_per_epoch():
    got = rates([0, 29, 30, 59, 60], name="step", step_size=3, gamma=0.5)
    assert got == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])


def test_cosine_with_warmup():
    got = rates([0, 10, 20, 50, 80], name="cosine", warmup_epochs=2, end_factor=0.01)
    assert got == pytest.approx([0, 0.05, 0.1, 0.1 * (0.01 + 0.99 / 2), 0.001])


def test_linear_with_warmup_from_a_tenth():
    got = rates([0, 10, 20, 50, 80], name="linear", warmup_epochs=2, warmup_factor=0.1)
    assert got == pytest.approx([0.01, 0.055, 0.1, 0.05, 0], abs=1e-8)


def test_per_epoch_holds_the_rate_within_an_epoch():
    got = rates([20, 29, 30], name="cosine", warmup_epochs=2, per_epoch=True)
    assert got[0] == got[1] == pytest.approx(0.1)
    assert got[2] == pytest.approx(0.1 * (1 + np.cos(np.pi / 6)) / 2)


def test_a_warmup_longer_than_the_run():
    assert rates([0, 40, 79], name="cosine", warmup_epochs=16) == pytest.approx(
        [0, 0.025, 0.1 * 7.9 / 16]
    )


def test_unknown_name():
    with pytest.raises(UserError, match=r"config\.schedule\.name='poly' is unknown; choose"):
        rates([0], name="poly")
