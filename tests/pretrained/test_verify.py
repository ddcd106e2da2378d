"""At full size, too, networks of the other libraries are ours; with the extra [bench]."""

from importlib.util import find_spec

import jax
import pytest
import verify


@pytest.fixture
def optimised():
    """Programs that run more than they compile, unlike those of most tests."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.slow
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--library=transformers"], "stage_3/block_1"),
        (["--library=timm", "--finetune"], "loaded again exactly"),
    ],
)
def test_a_network_at_full_size_is_converted(options, said, capsys):
    for name in ("torch", "transformers", "timm"):
        if not find_spec(name):
            pytest.skip(f"{name} is not installed")
    assert verify.run(["resnet18", *options]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: expected one NAME, of vit_ti, "),
        (["resnet19"], "NAME='resnet19' is unknown; choose from resnet18, "),
    ],
)
def test_a_wrong_name_is_one_line(words, message, capsys):
    assert verify.run(words) == 1
    assert message in capsys.readouterr().err
