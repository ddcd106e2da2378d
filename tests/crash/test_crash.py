"""The short form of `python -m tests.crash`."""

import random

import pytest
from kills import CASES, assert_equal, kill_and_resume, uninterrupted


@pytest.mark.long
def test_a_run_that_is_killed_at_random_moments_ends_as_without(tmp_path):
    case, said = CASES["run"], []
    seconds = uninterrupted(case, tmp_path / "whole")
    kill_and_resume(case, tmp_path / "killed", seconds, 5, random.Random(0), said.append)
    assert said, "it ended before it was killed"
    assert_equal(case, tmp_path / "killed", tmp_path / "whole")
