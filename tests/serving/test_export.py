"""Exports compute, in other programs, what the model computes."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from commands import main
from PIL import Image

import vitjax
from vitjax import models
from vitjax.config import default
from vitjax.inference.predictor import Predictor
from vitjax.pretrained import weight_files
from vitjax.pretrained.load import Inputs, load_weights
from vitjax.serving import classify, exporting, onnx_file, stablehlo

STAGES = dict(stage_sizes=(2, 2), patch_size=2, hidden_dim=8, num_heads=(2, 4))
SMALL = dict(patch_size=4, hidden_dim=8, num_layers=2)
MODELS = {  # name of a case: model, its options
    "vit": ("vit", SMALL | {"num_heads": 2, "mlp_dim": 12}),
    "vit_otherwise": ("vit", SMALL | dict(
        num_heads=2, stem="linear", stem_norm=True, pool="mean", position_embedding="sincos",
        norm="post", activation="gelu_tanh", remat=True, head_hidden_dims=(4,), skip=False,
        head_activation="tanh", head_activate_logits=True,
    )),
    "vit_compact": ("vit", SMALL | dict(
        num_heads=2, stem="conv3x3", stem_dim=6, pool="attention", num_registers=2, layer_scale=0.1,
    )),
    "mixer": ("mixer", SMALL | {"activation": "relu"}),
    "linformer": ("linformer", SMALL | {"num_heads": 2, "k_dim": 3, "share_kv": True}),
    "resnet": ("resnet", dict(stage_sizes=(1, 1), width=4)),
    "resnet_bottleneck": ("resnet", dict(stage_sizes=(1, 1), width=4, block="bottleneck")),
    "vgg": ("vgg", dict(stage_sizes=(1, 1), width=4, hidden_dims=(6,))),
    "swin": ("swin", STAGES | {"window_size": 4}),
    "swin_padded": ("swin", STAGES | {"window_size": 3, "tiling": "timm"}),
}  # fmt: skip


def quiet(text):
    del text


def untrained(case, **options):
    """A run's model with numbers from nowhere; images of 12x8 pixels become 16x16."""
    name, own = MODELS[case]
    config = default(name)
    config.model.update(own)
    config.model.update(options)
    config.data.input_size = 16
    model = models.create(name, 5, **config.model)
    random = np.random.RandomState(0)
    variables = jax.tree.map(
        lambda x: (
            random.uniform(0.05, 0.5, x.shape).astype(np.float32)
            * random.choice([1, -1], x.shape if x.ndim > 1 else ()).astype(np.float32)
        ),
        models.abstract_variables(model, (16, 16, 3)),
    )
    if "batch_stats" in variables:  # variances are positive
        variables["batch_stats"] = jax.tree.map(np.abs, variables["batch_stats"])
    names = ("cat", "dog", "eel", "fox", "gnu")
    picture = dict(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), image_shape=(12, 8, 3))
    return Predictor(model, variables, names, **picture, config=config, step=7, workdir="run")


RARE = ("vit_otherwise", "resnet_bottleneck", "swin_padded")


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] if c in RARE else []) for c in MODELS]
)
@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_computations(form, case, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    else:
        pytest.importorskip("flatbuffers")
    predictor = untrained(case)
    export = exporting.export(predictor, tmp_path / f"model.{form}", form, quiet)
    assert export.difference <= 1e-5
    compute = {"onnx": onnx_file, "stablehlo": stablehlo}[form].compute
    images = np.random.RandomState(1).randint(0, 256, (4, 12, 8, 3)).astype(np.uint8)
    found = compute(export.path, images)
    expected = predictor.predict(images)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)


PYTORCH = dict(stem="linear", stem_norm=True, qkv_bias=False)  # as vit-pytorch's ViT has it
WEIGHTS = [
    ("vit", "transformers", {}),
    ("vit", "transformers", {"stem": "linear", "qkv_bias": False, "activation": "gelu_tanh"}),
    ("swin", "transformers", {}),
    ("resnet_bottleneck", "transformers", {}),
    ("vit", "timm", {"pool": "mean", "norm_after_pool": True, "norm_epsilon": 1e-6}),
    ("mixer", "timm", {"activation": "gelu"}),
    ("swin", "timm", {"tiling": "timm"}),
    ("resnet", "timm", {"width": 64}),
    pytest.param(
        *("vgg", "timm", {"hidden_dims": (4096, 4096), "stage_sizes": (2, 1)}),
        marks=pytest.mark.slow,
    ),
    ("vit", "vit_pytorch", PYTORCH),
    ("vit", "vit_pytorch", PYTORCH | {"num_heads": 1, "head_dim": 6}),
    ("linformer", "safetensors", {}),
    ("vit_compact", "safetensors", {}),
    ("resnet", "safetensors", {}),
    ("swin", "safetensors", {}),
]


@pytest.mark.parametrize(("case", "form", "options"), WEIGHTS)
def test_weights_are_read_again(case, form, options, tmp_path):
    folder = form == "transformers"
    out = tmp_path / ("model" if folder else "model.safetensors")
    export = exporting.export(untrained(case, **options), out, form, quiet)
    assert export.difference == 0
    file = out / "model.safetensors" if folder else out
    assert weight_files.metadata(file)["class_names"] == ["cat", "dog", "eel", "fox", "gnu"]


def test_a_folder_for_transformers_says_all_of_the_network(tmp_path):
    exporting.export(untrained("vit"), tmp_path / "model", "transformers", quiet)
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["id2label"]["4"] == "gnu"
    sizes = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "intermediate_size")
    assert [config[name] for name in sizes] == [16, 4, 8, 2, 12]
    assert config["layer_norm_eps"] == 1e-5
    processor = json.loads((tmp_path / "model/preprocessor_config.json").read_text())
    assert processor["image_mean"] == [0.4, 0.5, 0.6]
    assert processor["size"] == {"height": 16, "width": 16}


def cropping(input_size):
    """A run's model whose images are cut to 12x8 pixels, not resized."""
    predictor = untrained("resnet")
    predictor.config.data.update(fit="center_crop", input_size=input_size)
    return predictor


def test_a_processor_for_transformers_cuts_where_the_run_does(tmp_path):
    exporting.export(cropping(0), tmp_path / "model", "transformers", quiet)
    processor = json.loads((tmp_path / "model/preprocessor_config.json").read_text())
    assert processor["crop_size"] == {"height": 12, "width": 8}
    assert [processor["do_resize"], processor["do_center_crop"]] == [False, True]


def test_no_processor_is_written_where_transformers_has_none(tmp_path):
    exporting.export(cropping(16), tmp_path / "model", "transformers", quiet)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.safetensors", "config.json"}


@pytest.mark.parametrize("size", [(20, 14), (6, 30), (8, 12)])
def test_transformers_cuts_images_as_the_run_does(size, tmp_path):
    transformers = pytest.importorskip("transformers")
    predictor = cropping(0)
    exporting.export(predictor, tmp_path / "model", "transformers", quiet)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model")
    image = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    found = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
    expected = predictor.preprocess(predictor.fit(image)[None])
    np.testing.assert_allclose(np.moveaxis(found, 1, -1), expected, atol=1e-5)


@pytest.mark.parametrize("case", ["vit", "swin", "resnet_bottleneck"])
def test_transformers_computes_what_is_exported(case, tmp_path):
    torch, transformers = map(pytest.importorskip, ("torch", "transformers"))
    predictor = untrained(case)
    exporting.export(predictor, tmp_path / "model", "transformers", quiet)
    network, said = transformers.AutoModelForImageClassification.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    images = classify.random_images(predictor, 2)
    inputs = np.moveaxis(np.asarray(predictor.preprocess(images)), -1, 1).copy()
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(inputs)).logits.numpy()
    expected = predictor.logits(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert network.config.id2label[4] == "gnu"


def assert_computes_alike(network, file, predictor):
    """A network of torch, with the weights of a file, gives the predictor's logits."""
    torch = pytest.importorskip("torch")
    arrays = weight_files.read(file)
    network.load_state_dict({name: torch.from_numpy(x.copy()) for name, x in arrays.items()})
    images = classify.random_images(predictor, 2)
    inputs = np.moveaxis(np.asarray(predictor.preprocess(images)), -1, 1).copy()
    with torch.no_grad():
        found = network.eval()(torch.from_numpy(inputs)).numpy()
    expected = predictor.logits(images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_vit_pytorch_computes_what_is_exported(tmp_path):
    vit_pytorch = pytest.importorskip("vit_pytorch", exc_type=ImportError)
    predictor = untrained("vit", **PYTORCH)
    file = exporting.export(predictor, tmp_path / "m.safetensors", "vit_pytorch", quiet).path
    sizes = dict(dim=8, depth=2, heads=2, dim_head=4, mlp_dim=12)
    network = vit_pytorch.ViT(image_size=16, patch_size=4, num_classes=5, **sizes)
    assert_computes_alike(network, file, predictor)


def test_timm_computes_what_is_exported(tmp_path):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    predictor = untrained("resnet", width=64, stage_sizes=(1, 1, 1, 1))
    file = exporting.export(predictor, tmp_path / "m.safetensors", "timm", quiet).path
    network = timm.models.ResNet(timm.models.resnet.BasicBlock, (1, 1, 1, 1), num_classes=5)
    assert_computes_alike(network, file, predictor)


@pytest.mark.parametrize(
    ("case", "form", "options", "message"),
    [
        ("linformer", "timm", {}, r"timm has no network that computes what Linformer does"),
        ("vit", "timm", {"pool": "attention"}, r"no ViT with config\.model\.pool='attention'"),
        ("vit", "transformers", {"stem": "conv3x3"}, r"no ViT with config\.model\.stem='conv3x3'"),
        ("mixer", "timm", {"layer_scale": 0.1}, r"no Mixer with config\.model\.layer_scale=0\.1"),
        ("vit", "timm", {"num_registers": 1}, r"no ViT with config\.model\.num_registers=1"),
        ("vit", "timm", {"norm": "post"}, r"timm has no ViT with config\.model\.norm='post'"),
        ("vit", "vit_pytorch", {}, r"no ViT with config\.model\.stem='conv', stem_norm=False"),
        ("vit", "transformers", {"activation": "tanh"}, r"no config\.model\.activation=tanh"),
        ("vit", "transformers", {"head_dim": 2}, r"no ViT with config\.model\.head_dim=2"),
        ("vit", "timm", {"head_dim": 2}, r"timm has no ViT with config\.model\.head_dim=2; choose"),
        (
            "vit",
            "vit_pytorch",
            PYTORCH | {"num_heads": 1},
            r"no ViT with config\.model\.num_heads=1",
        ),
        ("swin", "transformers", {"norm_epsilon": 1e-6}, r"no Swin with .*\.norm_epsilon=1e-06"),
        ("swin", "transformers", {"window_size": 5}, r"\.window_size=5 on a map of 4 tokens; ch"),
        ("swin_padded", "transformers", {}, r"trained with config\.model\.tiling='transformers'"),
        ("resnet", "timm", {}, r"timm has no ResNet with config\.model\.width=4; choose"),
        ("vgg", "timm", {"stage_sizes": (1,)}, r"hidden_dims=\(6,\), stage_sizes=\(1,\); choose"),
        ("vit", "torch", {}, r"format='torch' is unknown; choose from stablehlo, onnx, "),
    ],
)
def test_what_another_library_does_not_compute_is_refused(case, form, options, message, tmp_path):
    out = tmp_path / ("model" if form == "transformers" else "model.safetensors")
    with pytest.raises(vitjax.UserError, match=message):
        exporting.export(untrained(case, **options), out, form, quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "form", "message"),
    [
        ("model.pb", "onnx", r"should end with \.onnx for --format=onnx"),
        ("no/model.onnx", "onnx", r"no is no folder; make it, or change --out"),
        ("folder.onnx", "onnx", r"is a folder, expected a file"),
        ("folder.onnx", "transformers", r"exists, expected a new folder"),
    ],
)
def test_a_wrong_place_is_refused(out, form, message, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(vitjax.UserError, match=message):
        exporting.export(untrained("vit"), tmp_path / out, form, quiet)


def test_a_file_that_computes_otherwise_is_refused_with_the_number(tmp_path, monkeypatch):
    pytest.importorskip("flatbuffers")
    right = stablehlo.compute

    def wrong(path, images):
        return {"logits": right(path, images)["logits"] * 1.01}

    monkeypatch.setattr(stablehlo, "compute", wrong)
    with pytest.raises(vitjax.UserError, match=r"logits that are 1\.0e-02 of the largest off"):
        exporting.export(untrained("vit"), tmp_path / "m.stablehlo", "stablehlo", quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("library", "form"),
    [("onnx", "onnx"), ("onnxruntime", "onnx"), ("flatbuffers", "stablehlo")],
)
def test_a_library_that_is_absent_is_named(library, form, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    # JAX may have imported flatbuffers before.
    monkeypatch.delitem(sys.modules, "jax._src.export.serialization", raising=False)
    with pytest.raises(vitjax.UserError, match=rf"need {library}: pip install '\.\[export\]'"):
        exporting.export(untrained("vit"), tmp_path / f"model.{form}", form, quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_stablehlo_needs_no_vitjax(tmp_path):
    pytest.importorskip("flatbuffers")
    predictor = untrained("vit")
    exporting.export(predictor, tmp_path / "model.stablehlo", "stablehlo", quiet)
    described = json.loads((tmp_path / "model.stablehlo.json").read_text())
    assert described["class_names"] == list(predictor.class_names)
    code = (
        "import pathlib, sys; sys.modules['vitjax'] = None\n"
        "import jax.export, numpy\n"
        "file = pathlib.Path('model.stablehlo')\n"
        "model = jax.export.deserialize(bytearray(file.read_bytes()))\n"
        "print(model.platforms)\n"
        "print(model.call(numpy.zeros((2, 12, 8, 3), numpy.uint8))['logits'].shape)"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert said.split("\n")[:2] == ["('cpu', 'cuda', 'tpu')", "(2, 5)"]


def test_onnx_holds_class_names_and_an_open_batch(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    exporting.export(untrained("swin"), tmp_path / "model.onnx", "onnx", quiet)
    model = onnx.load(tmp_path / "model.onnx")
    properties = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert properties["class_names"] == ["cat", "dog", "eel", "fox", "gnu"]
    (images,) = model.graph.input
    assert images.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [output.name for output in model.graph.output] == ["logits", "probabilities"]
    assert model.opset_import[0].version <= 21


def test_the_command_and_the_api_export_a_run(digits_run, tmp_path):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    out, _ = main(
        *(f"--workdir={digits_run}", "--format=safetensors", f"--out={tmp_path}/d.safetensors"),
        module="vitjax.export",
    )
    assert "d.safetensors: read again, logits within 0.0e+00 of the largest on 4 images" in out
    again = vitjax.load(digits_run).export(tmp_path / "e.safetensors", "safetensors", say=quiet)
    ours, theirs = (load_file(tmp_path / f"{name}.safetensors") for name in "de")
    assert again.path == tmp_path / "e.safetensors"
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_card_has_the_metrics_of_the_weights_beside_it_or_none(digits_run, tmp_path):
    pytest.importorskip("safetensors")
    evaluated = json.loads((digits_run / "eval.json").read_text())["step"]
    steps = {int(folder.name) for folder in (digits_run / "checkpoints").iterdir()}
    assert evaluated in steps
    assert len(steps) == 2
    for step in steps:
        out = vitjax.load(digits_run, step).export(tmp_path / str(step), "hub", say=quiet).path
        assert ("model-index" in (out / "README.md").read_text()) == (step == evaluated)


def test_a_folder_for_the_hub_is_read_from_its_cache(digits_run, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    run = vitjax.load(digits_run)
    folder = run.export(tmp_path / "model", "hub", say=quiet).path
    assert hub.ModelCard.load(folder / "README.md").data.library_name == "vitjax"
    repository = tmp_path / "hub/models--own--digits"
    shutil.copytree(folder, repository / "snapshots/0")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0")
    empty = jax.tree.map(np.zeros_like, dict(run.variables))
    inputs = Inputs(run.predictor.input_shape, run.predictor.mean, run.predictor.std)
    said = []
    loaded = load_weights("hub:own/digits", empty, run.model, inputs, said.append)
    jax.tree.map(np.testing.assert_array_equal, loaded, dict(run.variables))
    assert len(said) == 1
