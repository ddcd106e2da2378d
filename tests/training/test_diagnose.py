"""Where a run went wrong is said, whatever the model computes again in its backward pass."""

import re

import pytest

from vitjax.config import debug, default
from vitjax.errors import Diverged
from vitjax.runs.run_folder import RunFolder
from vitjax.training.run import train_and_evaluate


@pytest.mark.parametrize("remat", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_layer_that_overflows_is_named(tmp_path, remat):
    config = debug(default("vit"))
    config.model.update(patch_size=8, hidden_dim=16, mlp_dim=16, num_layers=2, remat=remat)
    config.optim.update(name="sgd", learning_rate=1e15)
    message = r"NaN or infinity at step \d+ \(epoch \d+\), in the output of encoder/block_\d/\w+"
    with pytest.raises(Diverged, match=message):
        train_and_evaluate(config, tmp_path, lambda _: None)
    assert re.match(r"step \d+ \(epoch \d+\), in ", RunFolder(tmp_path).diverged())
