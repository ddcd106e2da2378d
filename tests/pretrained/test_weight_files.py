"""Files of weights: what is wrong with one is said in a line; what is right loads exactly."""

import dataclasses
import errno
import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import main
from golden import GOLDENS

from vitjax.errors import UserError
from vitjax.pretrained import locate, weight_files
from vitjax.pretrained.catalog import CATALOG
from vitjax.pretrained.load import read

ENTRY = CATALOG["swin_t_in1k"]
STORED = np.arange(4, dtype=np.float32).tobytes()
ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}


def safetensors():
    header = json.dumps({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    return len(header).to_bytes(8, "little") + header + ARRAYS["a"].tobytes()


def safetensors_of(dtype, num_bytes, name="a"):
    header = json.dumps({name: {"dtype": dtype, "shape": [2, 4], "data_offsets": [0, num_bytes]}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(num_bytes)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **(arrays or ARRAYS))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, ARRAYS["a"])
    return buffer.getvalue()


def compressed_npz_with_flipped_bytes():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.random.RandomState(0).randn(100))
    content = bytearray(buffer.getvalue())
    content[200:300] = bytes(byte ^ 255 for byte in content[200:300])
    return bytes(content)


def torch_file(content, compression=zipfile.ZIP_STORED, storage=b""):
    """A file as torch.save writes it, around any pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", storage)
    return buffer.getvalue()


def torch_tensor(shape, strides, name=b"a", constructor=b"_rebuild_tensor_v2", metadata=b""):
    """A file of one tensor of 4 stored numbers, as torch.save writes it."""
    call = torch_call(shape, strides, constructor, metadata)
    return torch_file(b"(dV%s\n%ss." % (name, call), storage=STORED)


def torch_call(shape, strides, constructor=b"_rebuild_tensor_v2", metadata=b""):
    """What a pickle builds a tensor by."""
    storage = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ"
    numbers = (b"(%st" % b"".join(b"I%d\n" % n for n in each) for each in (shape, strides))
    arguments = b"".join([storage, b"I0\n", *numbers, b"I00\n", b"(d", metadata])
    return b"ctorch._utils\n%s\n(%stR" % (constructor, arguments)


def torch_checkpoint(**places):
    """A file of state dicts by their keys, each a tensor of so many of the numbers stored."""
    dicts = b"".join(
        b"V%s\n(dVa\n%sss" % (key.encode(), torch_call((size,), (1,)))
        if size
        else b"V%s\n(ds" % key.encode()
        for key, size in places.items()
    )
    return torch_file(b"(d%s." % dicts, storage=STORED)


def npz_of_zeros():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(1_000_000))
    return buffer.getvalue()


class Harm:
    """What runs code where an ordinary pickle is read."""

    def __reduce__(self):
        return eval, ("1 / 0",)


@pytest.mark.parametrize(("name", "content"), [("a.safetensors", safetensors), ("a.npz", npz)])
def test_whole_files_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content())
    (array,) = weight_files.read(tmp_path / name).values()
    np.testing.assert_array_equal(array, ARRAYS["a"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.safetensors", safetensors()[:-8], "cut.safetensors is no whole safetensors file"),
        ("text.safetensors", b"not weights\n", "text.safetensors is no whole safetensors file"),
        ("empty.safetensors", b"", "empty.safetensors is no whole safetensors file"),
        ("cut.npz", npz()[:-60], "cut.npz is no whole npz file"),
        ("text.npz", b"not weights\n", "text.npz is no whole npz file"),
        ("flipped.npz", compressed_npz_with_flipped_bytes(), "flipped.npz is no whole npz file"),
        ("npy.npz", npy(), "npy.npz is no whole npz file"),
        ("safetensors.npz", safetensors(), r"is no whole npz file \(File is not a zip file\)"),
        ("pickle.npz", pickle.dumps(ARRAYS), r"is no whole npz file \(File is not a zip file\)"),
        ("torch.npz", torch_file(b"junk"), "torch.npz holds more than plain arrays"),
        ("objects.npz", npz(a={"b": 1}), "objects.npz holds more than plain arrays"),
        ("fp8.safetensors", safetensors_of("F8_E4M3", 8), "holds numbers of F8_E4M3, expected"),
        ("fp4.safetensors", safetensors_of("F4", 4), "holds numbers of F4, expected weights that"),
        ("full.npz", npz_of_zeros(), "full.npz would fill .* times its size, expected weights"),
        ("weights.txt", b"", "weights.txt has no known kind of weights"),
        ("model.pth", torch_file(pickle.dumps({})), "set --config.finetune.allow_pickle=true"),
    ],
)
def test_damaged_files_and_pickles_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        weight_files.read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not weights", "is damaged, or no file of torch.save since 1.6"),
        (torch_file(pickle.dumps({"a": Harm()})), r"builtins\.eval"),
        (torch_file(b"\x80\x02junk"), "is damaged"),
        (torch_file(pickle.dumps([1, 2])), "model.pth"),
        (torch_file(b"N0" * 10_000 + b"N.", zipfile.ZIP_DEFLATED), "holds more than its own size"),
        (torch_tensor((2**40,), (0,)), r"of shape \(1099511627776,\) that is larger than its"),
        (
            torch_tensor((4,), (1,), metadata=b"(dVneg\nI01\ns"),
            r"whose values \(neg\) are not in it",
        ),
        (torch_checkpoint(teacher=2, student=2), r"holds no arrays, but teacher, student; sa"),
        (torch_tensor((3,), (2,)), r"a tensor of shape \(3,\) that lies outside its storage"),
        (
            torch_tensor((4,), (1,), constructor=b"_rebuild_tensor_v3"),
            "holds numbers that NumPy lacks, such as fp8, expected weights that are not quantised",
        ),
    ],
)
def test_an_allowed_pickle_gives_arrays_or_an_error(tmp_path, content, message):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(UserError, match=message):
        weight_files.read(tmp_path / "model.pth", allow_pickle=True)


@pytest.mark.parametrize(
    ("places", "taken", "said"),
    [
        ({"state_dict": 2}, 2, []),
        ({"net": 2}, 2, []),
        ({"state_dict_ema": 3}, 3, []),
        (
            {"state_dict": 2, "state_dict_ema": 3},
            3,
            ["took state_dict_ema of the file, not state_dict"],
        ),
        (
            {"net": 1, "model": 2, "model_ema": 3},
            3,
            ["took model_ema of the file, not model, net"],
        ),
        ({"state_dict": 2, "state_dict_ema": None}, 2, []),  # begun, and empty
    ],
)
def test_of_several_state_dicts_the_average_is_taken_and_said(places, taken, said, tmp_path):
    (tmp_path / "model.pth").write_bytes(torch_checkpoint(**places))
    notes = []
    arrays = weight_files.read(tmp_path / "model.pth", allow_pickle=True, say=notes.append)
    assert arrays["a"].shape == (taken,)
    assert notes == said


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_what_torch_wraps_a_model_in_is_taken_off(prefix, tmp_path):
    name = f"{prefix}a".encode()
    (tmp_path / "model.pth").write_bytes(torch_tensor((4,), (1,), name=name))
    assert [*weight_files.read(tmp_path / "model.pth", allow_pickle=True)] == ["a"]
    wrapped = {f"{prefix}{name}": array for name, array in ARRAYS.items()}
    (tmp_path / "model.npz").write_bytes(npz(**wrapped, n_averaged=np.int64(3)))
    weight_files.write(tmp_path / "model.safetensors", wrapped | {"n_averaged": np.int64(3)}, {})
    for kind in weight_files.SAFE:
        assert [*weight_files.read(tmp_path / f"model{kind}")] == ["a"]


def test_the_count_of_averaged_models_is_no_weight(tmp_path):
    (tmp_path / "model.pth").write_bytes(torch_tensor((4,), (1,), name=b"n_averaged"))
    with pytest.raises(UserError, match="holds no arrays, but n_averaged"):
        weight_files.read(tmp_path / "model.pth", allow_pickle=True)


def test_a_tensor_of_torch_is_read_by_its_strides(tmp_path):
    (tmp_path / "model.pth").write_bytes(torch_tensor((2, 2), (1, 2)))
    arrays = weight_files.read(tmp_path / "model.pth", allow_pickle=True)
    np.testing.assert_array_equal(arrays["a"], [[0, 2], [1, 3]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.safetensors", safetensors_of("F32", 32, name="\x1b[31ma")),
        ("a.npz", npz(**{"\x1b[31ma": ARRAYS["a"]})),
        ("a.pth", torch_tensor((4,), (1,), name=b"\x1b[31ma")),
    ],
)
def test_names_in_files_show_no_control_characters(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (name,) = weight_files.read(tmp_path / name, allow_pickle=True)
    assert name.isprintable()
    assert name.startswith(r"\x1b")


@pytest.mark.parametrize("content", [torch_file(b"c\x1b[31m\nx\n."), torch_file(b"Q\x1b[31m.")])
def test_errors_show_no_control_characters(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError) as error:
        weight_files.read(tmp_path / "a.pth", allow_pickle=True)
    assert str(error.value).isprintable()


def test_what_is_written_is_read_exactly(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"a": np.random.RandomState(0).randn(3, 4).astype(np.float32).T, "b": np.int64(3)}
    weight_files.write(path, arrays, {})
    for name, array in weight_files.read(path).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.safetensors"
    path.mkdir()
    with pytest.raises(UserError, match=r"cannot write .*a\.safetensors: Is a directory"):
        weight_files.write(path, ARRAYS, {})
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    weight_files.write(path, ARRAYS, {})

    def refuse(*paths):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot write .*a\.safetensors: No space left on device"):
        weight_files.write(path, {"a": ARRAYS["a"] + 1}, {})
    np.testing.assert_array_equal(weight_files.read(path)["a"], ARRAYS["a"])
    assert list(tmp_path.iterdir()) == [path]


def test_exporting_into_no_folder_is_one_line(digits_run, tmp_path):
    output = tmp_path / "missing" / "a.safetensors"
    _, error = main(
        *(f"--workdir={digits_run}", "--format=safetensors", f"--out={output}"),
        module="vitjax.export",
        code=1,
    )
    assert error == (
        f"error: --out={output}: {output.parent} is no folder; make it, or change --out\n"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no/such/file.npz", "neither a file, nor a folder, nor a name of the catalogue"),
        ("resnet18_in1", "resnet18_in1k"),
        ("hub:nobody", "should be hub:OWNER/REPO or hub:OWNER/REPO/FILE"),
        ("~nobody/file.npz", "neither a file, nor a folder, nor a name of the catalogue"),
        ("a" * 300, "cannot be read: File name too long; change it"),
    ],
)
def test_a_source_that_is_none(given, message):
    with pytest.raises(UserError, match=message):
        locate.find(given)


def test_a_folder_gives_its_one_file_of_weights(tmp_path):
    with pytest.raises(UserError, match="has no file of weights"):
        locate.find(str(tmp_path))
    (tmp_path / "flax.npz").write_bytes(npz())
    for name in ("._flax.npz", "._model.safetensors.index.json"):  # as macOS makes them
        (tmp_path / name).write_bytes(b"")
    assert locate.find(str(tmp_path)).path == tmp_path / "flax.npz"
    (tmp_path / "other.npz").write_bytes(npz())
    with pytest.raises(UserError, match=r"has 2 files of weights \(flax.npz, other.npz\)"):
        locate.find(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(safetensors())
    assert locate.find(str(tmp_path)).path == tmp_path / "model.safetensors"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The hub's cache, in a folder of its own; the hub itself is out of reach."""
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_file_of_the_hub_is_taken_from_its_cache_without_a_network(hub_cache):
    repository = hub_cache / "models--own--repo"
    snapshot = repository / "snapshots" / "0"
    for folder in (snapshot, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("0")
    (snapshot / "model.safetensors").touch()
    assert locate.find("hub:own/repo").path == snapshot / "model.safetensors"


def test_no_way_to_the_hub_is_one_line(hub_cache, tmp_path):
    _, error = main(
        "--config=configs/vit_digits.py:debug", f"--workdir={tmp_path / 'run'}",
        "--config.finetune.weights=hub:owner/repo/model.npz", code=1,
    )  # fmt: skip
    assert error.count("\n") == 1
    assert "cannot fetch owner/repo/model.npz" in error
    assert "HF_HUB_OFFLINE is set" in error


@pytest.mark.slow
def test_a_run_begins_with_the_exported_weights_of_another(digits_run, tmp_path):
    file = tmp_path / "digits.safetensors"
    words = f"--workdir={digits_run}", "--format=safetensors", f"--out={file}"
    out, _ = main(*words, module="vitjax.export")
    assert f"{file}: " in out
    before = read(digits_run)
    exported = weight_files.read(file)
    assert exported.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(exported[name], array)
    config = json.loads((digits_run / "config.json").read_text())["config"]
    model = {k: v for k, v in config["model"].items() if isinstance(v, int | float | str)}
    out, _ = main(
        "--config=configs/vit_digits.py:debug", f"--workdir={tmp_path / 'run'}",
        f"--config.finetune.weights={file}", "--config.finetune.train_only=head",
        *(f"--config.model.{name}={value}" for name, value in model.items()),
    )  # fmt: skip
    assert f"weights   {file}: {len(before)} arrays of" in out
    after = read(tmp_path / "run")
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {name for name in before if not name.startswith("params/head/")}


def test_weights_of_another_architecture_end_a_run_before_it_begins(tmp_path):
    weights = f"--config.finetune.weights={GOLDENS / 'torchvision_resnet.pth'}"
    workdir = tmp_path / "run"
    _, error = main(
        "--config=configs/vit_digits.py:debug", f"--workdir={workdir}", weights,
        "--config.finetune.allow_pickle=true", code=1,
    )  # fmt: skip
    assert error.count("\n") == 1
    assert "ResNet" in error
    assert not workdir.exists()


def test_a_folder_with_checkpoints_that_is_no_run_is_said(tmp_path):
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"has no file of weights .* and is no run of vitjax"):
        locate.find(str(tmp_path))


def test_a_file_with_another_sha256_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(npz())
    right = hashlib.sha256(npz()).hexdigest()
    monkeypatch.setattr(locate, "fetch", lambda repo, file: path)
    for known in (None, right):
        monkeypatch.setitem(CATALOG, "swin_t_in1k", dataclasses.replace(ENTRY, sha256=known))
        assert locate.find("swin_t_in1k").path == path
    monkeypatch.setitem(CATALOG, "swin_t_in1k", dataclasses.replace(ENTRY, sha256="0" * 64))
    with pytest.raises(UserError, match=f"has the sha256 {right}, expected 0000"):
        locate.find("swin_t_in1k")


@pytest.mark.parametrize("end", ["safetensors", "bin"])
def test_weights_in_parts_are_told_to_be_joined(end, tmp_path):
    for name in (f"model-00001-of-00002.{end}", f"model.{end}.index.json"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"parts \(model\.{end}\.index\.json\), expected one file"):
        locate.find(str(tmp_path))
