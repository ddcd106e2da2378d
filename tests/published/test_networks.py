"""What vitjax counts for the rows of ResNet and Swin, and what their author's tool counted."""

import jax
import pytest

from vitjax import models
from vitjax.models.parts.convolution import BatchNorm
from vitjax.models.parts.layers import LayerNorm
from vitjax.published import find, rebuild

IMAGE = (224, 224, 3)


def norm_elements(model):
    """How many values the norms of a model give for one image of 224x224 pixels."""
    variables = models.abstract_variables(model, IMAGE)

    def is_norm(module, _):
        return isinstance(module, LayerNorm | BatchNorm)

    def norms(variables, images):
        return model.apply(variables, images, capture_intermediates=is_norm)[1]

    images = jax.ShapeDtypeStruct((1, *IMAGE), "float32")
    return models.num_params(jax.eval_shape(norms, variables, images))


def test_parts_of_the_tools_macs_of_resnet18():
    model = models.create("resnet18", 100)
    assert find("resnet18", "ResNet-18").tool_macs["parts"] == {
        "convolutions": models.num_macs(model.clone(num_classes=0), IMAGE),
        "batch norm": norm_elements(model),
        "average pooling": 512,
        "classifier": 512 * 100,
    }


@pytest.mark.parametrize(
    ("row", "name"),
    [("swin-tiny", "swin_t"), pytest.param("swin-small", "swin_s", marks=pytest.mark.slow)],
)
def test_parts_of_the_tools_macs_of_swin(row, name):
    model = models.create(name, 100)
    attention = 0
    for i, num_blocks in enumerate(model.stage_sizes):
        tokens, dim = (56 // 2**i) ** 2, 96 * 2**i
        attention += num_blocks * 2 * tokens * 49 * dim  # each token with the 49 of its window
    stem = 56 * 56 * 4 * 4 * 3 * 96
    parts = find("swin", row).tool_macs["parts"]
    assert parts == {
        "stem": stem,
        "linear layers": models.num_macs(model, IMAGE) - stem - attention,
        "attention": attention,
        "layer norm": norm_elements(model),
        "average pooling": 768,
        "sizes of arrays": sum(model.stage_sizes) + 5,
    }


NETWORKS = {  # row: (model, its parameters, its multiply-accumulates)
    ("resnet18", "ResNet-18"): ("resnet18", 11_227_812, 1_813_612_544),
    ("swin", "swin-tiny"): ("swin_t", 27_596_254, 4_489_875_456),
    ("swin", "swin-small"): ("swin_s", 48_914_158, 8_740_184_064),
}


@pytest.mark.parametrize("key", NETWORKS, ids=lambda key: key[1])
def test_networks_with_published_weights_agree(key):
    name, params, macs = NETWORKS[key]
    row = find(*key)
    counts = rebuild.build(row)
    assert (counts.params, counts.macs) == (params, macs)
    assert counts.layer_macs["head"] == 100 * (512 if name == "resnet18" else 768)
    assert rebuild.tool_macs(row, counts)["total"] == row.published_macs
    assert rebuild.disagreements(row, counts) == []
