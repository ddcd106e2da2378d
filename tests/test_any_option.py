"""Whatever value an option is given, it is accepted or refused by name: never a library's error."""

import hypothesis
import jax
import pytest
from hypothesis import strategies as st

import vitjax
from vitjax import UserError
from vitjax import config as options
from vitjax.training.ahead import preflight

DEFAULTS = options.flatten(options.default())
# None between these, which may be right: a model of a million layers is long to look at.
numbers = st.integers(-3, 40) | st.integers(2**31, 2**70) | st.integers(-(2**70), -(2**31))
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
any_input = hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)


def config_with(key, value):
    """A config with an option changed; None where the value is refused at once."""
    try:
        return vitjax.get_config("vit_digits", **{key: value})
    except UserError as error:
        assert key in str(error)  # noqa: PT017
        return None


@any_input
@hypothesis.given(st.sampled_from(sorted(DEFAULTS)), values)
def test_any_value_of_any_option_is_accepted_or_refused(key, value):
    config = config_with(key, value)
    if config is not None:
        found = preflight.preflight(config, jax.devices())
        assert all(isinstance(text, str) for text in found.problems)


@pytest.mark.parametrize("key", [key for key, usual in DEFAULTS.items() if usual is not None])
def test_an_option_without_a_value_is_named(key):
    config = options.default()
    config.update_from_flattened_dict({key: None})
    assert options.problems(config)[key].startswith(f"config.{key}=None should be a value, such as")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("data.channels", True, "a number, such as 0"),
        ("mesh.fsdp", True, "a number, such as 1"),
        ("model.mlp_dim", 2**63, "at most 2,147,483,647"),
        ("model.num_layers", 10**9, "at most 10,000"),
        ("data.image_size", 2**15, "at most 16,384"),
        ("model.layer_scale", 1e39, "at most 3.4e+38, as float32 has it"),
    ],
)
def test_values_of_another_kind_or_size(key, value, expected):
    found = options.problems(vitjax.get_config("vit_digits", **{key: value}))
    assert found[key] == f"config.{key}={value} should be {expected}"


@pytest.mark.parametrize("key", [key for key, usual in DEFAULTS.items() if usual is not None])
def test_an_option_without_a_value_is_all_that_is_told(key):
    config = options.default()
    config.update_from_flattened_dict({"data.name": "digits"} | {key: None})
    (problem,) = preflight.preflight(config, jax.devices()).problems
    assert problem.startswith(f"config.{key}=None should be a value, such as")
