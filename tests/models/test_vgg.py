"""VGG beside its parity with timm's (test_transformers_parity.py): pooling, sizes, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.vgg import adaptive_average_pool

SMALL = dict(width=4, stage_sizes=(1, 2), hidden_dims=(6, 5))


@pytest.mark.parametrize("size", [(1, 2), (5, 4), (7, 7), (9, 15), (14, 3)])
def test_pooling_is_the_mean_of_torchs_windows(size):
    x = np.random.RandomState(0).randn(2, *size, 3).astype(np.float32)
    rows, columns = (
        [slice(int(np.floor(i * n / 7)), int(np.ceil((i + 1) * n / 7))) for i in range(7)]
        for n in size
    )
    expected = np.stack(
        [np.stack([x[:, row, column].mean((1, 2)) for column in columns], 1) for row in rows], 1
    )
    np.testing.assert_allclose(adaptive_average_pool(x, 7), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(4, 4), (8, 13), (64, 48)])
def test_any_image_of_a_pixel_or_more_after_the_stages_has_logits(size):
    model = models.create("vgg", 3, **SMALL)
    variables = models.abstract_variables(model, (*size, 1))
    images = jax.ShapeDtypeStruct((2, *size, 1), "float32")
    assert variables["params"]["hidden_0"]["kernel"].shape == (7, 7, 8, 6)
    assert jax.eval_shape(model.apply, variables, images).shape == (2, 3)


def test_too_small_an_image_is_refused():
    message = r"5 stages halve images of 28x28 pixels to nothing; raise config\.data\.input_size"
    with pytest.raises(UserError, match=message):
        models.abstract_params(models.create("vgg16_bn", 3), (28, 28, 1))


def test_widths_double_to_eight_times():
    params = models.abstract_params(models.create("vgg19_bn", 3), (32, 32, 3))
    widths = [params[f"stage_{i}"]["conv_0"]["kernel"].shape[-1] for i in range(5)]
    assert widths == [64, 128, 256, 512, 512]


def test_without_hidden_layers_the_head_sees_the_map():
    model = models.create("vgg", 3, **SMALL | {"hidden_dims": ()})
    params = models.abstract_params(model, (8, 8, 1))
    assert params["head"]["logits"]["kernel"].shape == (49 * 8, 3)


@pytest.mark.slow
def test_half_of_each_hidden_layer_is_dropped_in_training():
    model = models.create("vgg", 0, **SMALL | {"hidden_dims": (64, 64)}, norm_statistics="frozen")
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
    variables = model.init(jax.random.key(1), images)
    params = jax.tree.map(jnp.ones_like, variables["params"])

    def share_of_zeros(**options):
        features = model.apply(variables | {"params": params}, images, **options)
        return float(jnp.mean(features == 0))

    rngs = {"dropout": jax.random.key(2)}
    assert share_of_zeros() == 0
    assert share_of_zeros(train=True, rngs=rngs) == pytest.approx(0.5, abs=0.1)
