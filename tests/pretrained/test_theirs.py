"""What is converted from another library's file goes back to the same names and numbers."""

import json

import numpy as np
import pytest
from golden import load, unpack

from vitjax import UserError
from vitjax.pretrained.libraries import timm
from vitjax.pretrained.origins import to_ours
from vitjax.pretrained.theirs import to_theirs

CASES = {
    "transformers_vit": "ViT",
    "transformers_swin": "Swin",
    "transformers_resnet": "ResNet",
    "transformers_resnet_bottleneck": "ResNet",
    "timm_vit": "ViT",
    "timm_vit_fc_norm": "ViT",
    "timm_swin": "Swin",
    "timm_mixer": "Mixer",
    "torchvision_resnet": "ResNet",
    "timm_vgg": "VGG",
    "vit_pytorch_today": "ViT",
}


def tensors_of(case):
    golden = load(case)
    if "tensors" in golden:
        return golden["tensors"]
    return unpack(golden["weights"], json.loads(str(golden["shapes"])))


@pytest.mark.parametrize(("case", "model"), CASES.items())
def test_there_and_back(case, model):
    tensors = tensors_of(case)
    _, converted = to_ours(tensors, model, "the golden file")
    back = to_theirs(converted.arrays, converted.origin)
    counts = {name for name in back if name.endswith("num_batches_tracked")}
    means = {name for name in back if name.endswith("running_mean")}
    assert {name.rpartition(".")[0] for name in counts} == {n.rpartition(".")[0] for n in means}
    assert back.keys() - counts == tensors.keys() - {*converted.ignored}
    for name in back.keys() - counts:
        np.testing.assert_array_equal(back[name], tensors[name], err_msg=name, strict=True)


def test_a_patch_embedding_becomes_a_convolution():
    kernel = np.arange(2 * 2 * 3 * 5, dtype=np.float32).reshape(12, 5)
    arrays = {"params/stem/embedding/kernel": kernel}
    (array,) = to_theirs(arrays, timm.VIT, (2, 2, 3)).values()
    assert array.shape == (5, 3, 2, 2)
    np.testing.assert_array_equal(array[1, 2], kernel[2::3, 1].reshape(2, 2))


def test_what_the_library_lacks_is_named():
    arrays = {"params/stem/token_norm/scale": np.ones(4, np.float32)}
    with pytest.raises(UserError, match=r"timm's ViT has no stem/token_norm/scale; choose"):
        to_theirs(arrays, timm.VIT)
