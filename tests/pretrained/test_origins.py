"""Every origin's files become our variables: what the other library computes, we compute.

Hugging Face's and lucidrains' are in tests/models/, with their gradients.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from golden import GOLDENS, assert_all_near, assert_near, convert, fresh, load

from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained import weight_files
from vitjax.pretrained.load import Inputs, load_weights

VIT = dict(patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=64, norm_epsilon=1e-6)
SWIN = dict(patch_size=2, hidden_dim=8, num_heads=(2, 4), window_size=3, mlp_ratio=2)
CASES = {  # golden file: (model, its options)
    "timm_vit": ("vit", VIT),
    "timm_vit_fc_norm": ("vit", VIT | {"pool": "mean", "norm_after_pool": True}),
    "timm_swin": ("swin", SWIN | {"stage_sizes": (2, 1)}),
    "timm_swin_padded": ("swin", SWIN | {"stage_sizes": (2, 2), "tiling": "timm"}),
    "timm_swin_small": ("swin", SWIN | {"stage_sizes": (2, 1), "tiling": "timm"}),
    "timm_mixer": ("mixer", dict(
        patch_size=4, hidden_dim=16, num_layers=2, tokens_mlp_dim=8, mlp_dim=32,
        norm_epsilon=1e-6,
    )),
    "timm_vgg": ("vgg", dict(width=4, stage_sizes=(1, 2), hidden_dims=(6, 6))),
    "torchvision_resnet": ("resnet", dict(width=4, stage_sizes=(1, 2))),
}  # fmt: skip


def forward(model, variables, images, names):
    """Logits, and the outputs of `names` by path."""
    with jax.default_matmul_precision("float32"):
        logits, collected = jax.jit(
            lambda variables, images: model.apply(
                variables,
                images,
                mutable=["intermediates"],
                capture_intermediates=lambda module, _: "/".join(module.path) in names,
            )
        )(variables, images)
    blocks = flatten_dict(collected["intermediates"], sep="/")
    return logits, {path.removesuffix("/__call__"): x for path, (x,) in blocks.items()}


def check(case, tensors):
    golden = load(case)
    name, options = CASES[case]
    model = models.create(name, 5, **options)
    variables, notes = convert(tensors, model, golden["images"].shape[1:])
    logits, blocks = forward(model, variables, golden["images"], golden["blocks"])
    assert_all_near(blocks, golden["blocks"])
    assert_near(logits, golden["logits"])
    return notes


@pytest.mark.parametrize("case", CASES)
def test_blocks_and_logits(case):
    notes = check(case, load(case)["tensors"])
    place = "/mixer/relative_position_bias in the model's table"
    centred = [
        f"centred stage_*/block_*{place} from (15, 2) to (25, 2) (2 such)",
        f"centred stage_1/block_0{place} from (5, 4) to (25, 4)",
    ]
    assert notes == (centred if case == "timm_swin_small" else [])


def test_a_file_that_torch_saved_is_read_without_torch():
    tensors = weight_files.read(GOLDENS / "torchvision_resnet.pth", allow_pickle=True)
    assert tensors["bn1.num_batches_tracked"].dtype == np.int64
    (note,) = check("torchvision_resnet", tensors)
    assert note == "left out, as nothing here needs it: *.num_batches_tracked"


def test_swin_of_its_authors_merges_at_the_end_of_a_stage():
    tensors = load("timm_swin")["tensors"]
    older = {name.replace("layers.1.down", "layers.0.down"): x for name, x in tensors.items()}
    older["layers.0.blocks.0.attn.relative_position_index"] = np.zeros((9, 9), np.int64)
    older = {name.replace("head.fc.", "head."): x for name, x in older.items()}
    assert len(check("timm_swin", older)) == 1


def test_a_bare_vit_of_hugging_face_has_no_prefix_and_a_pooler():
    golden = load("transformers_vit")
    sizes = dict(patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=20)
    model = models.create("vit", 0, **sizes, norm_epsilon=1e-12)
    tensors = {name.removeprefix("vit."): x for name, x in golden["tensors"].items()}
    whole, _ = convert(tensors, model, (12, 8, 3))
    bare = {name: x for name, x in tensors.items() if not name.startswith("classifier")}
    bare["pooler.dense.weight"] = np.zeros((16, 16), np.float32)
    variables, notes = convert(bare, model, (12, 8, 3))
    jax.tree.map(np.testing.assert_array_equal, variables, whole)
    assert notes == ["left out, as nothing here needs it: pooler.dense.weight"]


class GoogleMlp(nn.Module):
    """Google's MlpBlock, of Flax's own layers."""

    width: int

    @nn.compact
    def __call__(self, x):
        y = nn.gelu(nn.Dense(self.width, name="Dense_0")(x))
        return nn.Dense(x.shape[-1], name="Dense_1")(y)


class GoogleViT(nn.Module):
    """A ViT with the names and shapes of Google's files, of Flax's own layers."""

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(16, (4, 4), (4, 4), padding="VALID", name="embedding")(images)
        x = x.reshape(len(x), -1, 16)
        normal = nn.initializers.normal(0.5)
        token = self.param("cls", normal, (1, 1, 16))
        x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, 16)), x], axis=1)
        x = GoogleEncoder(name="Transformer")(x)
        return nn.Dense(5, bias_init=normal, name="head")(x[:, 0])


class GoogleEncoder(nn.Module):
    """Positions, blocks and the last norm."""

    @nn.compact
    def __call__(self, x):
        x = GooglePositions(name="posembed_input")(x)
        for i in range(2):
            x = GoogleBlock(name=f"encoderblock_{i}")(x)
        return nn.LayerNorm(name="encoder_norm")(x)


class GooglePositions(nn.Module):
    """Adds positions."""

    @nn.compact
    def __call__(self, x):
        return x + self.param("pos_embedding", nn.initializers.normal(0.5), (1, *x.shape[1:]))


class GoogleBlock(nn.Module):
    """Attention and MLP, each after a norm."""

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm(name="LayerNorm_0")(x)
        random = nn.initializers.normal(0.5)
        attention = nn.MultiHeadDotProductAttention(
            2, bias_init=random, name="MultiHeadDotProductAttention_1"
        )
        x = x + attention(y)
        return x + GoogleMlp(24, name="MlpBlock_3")(nn.LayerNorm(name="LayerNorm_2")(x))


class GoogleMixer(nn.Module):
    """A Mixer with the names and shapes of Google's files, of Flax's own layers."""

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(16, (4, 4), (4, 4), padding="VALID", name="stem")(images)
        x = x.reshape(len(x), -1, 16)
        for i in range(2):
            x = GoogleMixerBlock(name=f"MixerBlock_{i}")(x)
        x = nn.LayerNorm(name="pre_head_layer_norm")(x).mean(axis=1)
        return nn.Dense(5, bias_init=nn.initializers.normal(0.5), name="head")(x)


class GoogleMixerBlock(nn.Module):
    """Mixes tokens, then channels."""

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm(name="LayerNorm_0")(x).swapaxes(1, 2)
        x = x + GoogleMlp(8, name="token_mixing")(y).swapaxes(1, 2)
        return x + GoogleMlp(24, name="channel_mixing")(nn.LayerNorm(name="LayerNorm_1")(x))


@pytest.mark.parametrize(
    ("reference", "name", "options"),
    [
        (GoogleViT(), "vit", dict(num_heads=2, mlp_dim=24)),
        (GoogleMixer(), "mixer", dict(tokens_mlp_dim=8, mlp_dim=24)),
    ],
)
def test_googles_files(reference, name, options, tmp_path):
    images = np.random.RandomState(0).randn(2, 12, 8, 3).astype(np.float32)
    params = jax.jit(reference.init)(jax.random.key(0), images)
    np.savez(tmp_path / "weights.npz", **flatten_dict(params["params"], sep="/"))
    common = dict(patch_size=4, hidden_dim=16, num_layers=2, norm_epsilon=1e-6)
    common["activation"] = "gelu_tanh"
    model = models.create(name, 5, **common, **options)
    variables, notes = convert(weight_files.read(tmp_path / "weights.npz"), model, (12, 8, 3))
    assert notes == []
    with jax.default_matmul_precision("float32"):
        ours, theirs = jax.jit(model.apply), jax.jit(reference.apply)
        assert_near(ours(variables, images), theirs(params, images))


def test_googles_files_tell_the_heads_and_what_their_library_computes(tmp_path):
    images = np.zeros((1, 12, 8, 3), np.float32)
    params = jax.jit(GoogleViT().init)(jax.random.key(0), images)["params"]
    params["pre_logits"] = {"kernel": np.zeros((16, 16)), "bias": np.zeros(16)}
    path = tmp_path / "weights.npz"
    np.savez(path, **flatten_dict(params, sep="/"))
    model = models.create(
        "vit", 5, patch_size=4, hidden_dim=16, num_layers=2, mlp_dim=24, num_heads=4,
        head_hidden_dims=(16,), norm="post",
    )  # fmt: skip
    said = []
    inputs = Inputs((12, 8, 3), (0.5,) * 3, (0.5,) * 3)
    load_weights(str(path), fresh(model, (12, 8, 3)), model, inputs, said.append)
    warned = [line.strip() for line in said if "warning" in line]
    assert warned == [
        f"warning: trained with config.model.{each}"
        for each in (
            "num_heads=2, here 4",
            "head_activation='tanh', here 'gelu'",
            "norm='pre', here 'post'",
            "activation='gelu_tanh', here 'gelu'",
            "norm_epsilon=1e-06, here 1e-05",
        )
    ]


def test_timms_vgg_pools_a_large_map_otherwise():
    golden = load("timm_vgg")
    name, options = CASES["timm_vgg"]
    model = models.create(name, 5, **options)
    _, notes = convert(golden["tensors"], model, (32, 28, 3))
    assert notes == [
        "warning: of images of 32x28 pixels timm's VGG pools after its hidden layers, here before; "
        "lower config.data.input_size"
    ]
    _, notes = convert(golden["tensors"], model, (28, 28, 3))
    assert notes == []


@pytest.mark.parametrize("name", ["vit", "resnet", "linformer"])
def test_ours_come_back_exactly(name, tmp_path):
    model = models.create(name, 3)
    variables = fresh(model, (32, 32, 3))
    random = np.random.RandomState(0)
    variables = jax.tree.map(lambda x: random.randn(*x.shape).astype(np.float32), variables)
    path = tmp_path / "ours.safetensors"
    weight_files.write(path, flatten_dict(variables, sep="/"), {})
    loaded, notes = convert(weight_files.read(path), model, (32, 32, 3))
    assert notes == []
    jax.tree.map(np.testing.assert_array_equal, loaded, variables)


def test_torchvisions_vgg_has_its_hidden_layers_as_matrices():
    golden = load("timm_vgg")
    name, options = CASES["timm_vgg"]
    model = models.create(name, 5, **options)
    whole, _ = convert(golden["tensors"], model, golden["images"].shape[1:])
    places = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3"}
    places["head.fc"] = "classifier.6"
    theirs = {}
    for path, array in golden["tensors"].items():
        layer, _, leaf = path.rpartition(".")
        flat = array.reshape(len(array), -1) if layer in places and array.ndim == 4 else array
        theirs[f"{places.get(layer, layer)}.{leaf}"] = flat
    variables, notes = convert(theirs, model, golden["images"].shape[1:])
    jax.tree.map(np.testing.assert_array_equal, variables, whole)
    assert notes == []


def test_hidden_layers_stay_where_the_classes_of_a_vgg_differ():
    golden = load("timm_vgg")
    name, options = CASES["timm_vgg"]
    image_shape = golden["images"].shape[1:]
    whole, _ = convert(golden["tensors"], models.create(name, 5, **options), image_shape)
    model = models.create(name, 3, **options)
    variables, notes = convert(golden["tensors"], model, image_shape)
    assert notes == ["left out the head for 5 classes", "the head for 3 classes begins anew"]
    for layer in ("hidden_0", "hidden_1", "stage_1"):
        jax.tree.map(
            np.testing.assert_array_equal, variables["params"][layer], whole["params"][layer]
        )


def test_a_vgg_without_batch_norm_is_of_no_known_origin():
    tensors = {k: x for k, x in load("timm_vgg")["tensors"].items() if "running" not in k}
    model = models.create("vgg", 5)
    with pytest.raises(UserError, match=r"of no known origin.*VGG with batch norm"):
        convert(tensors, model, (21, 18, 3))
