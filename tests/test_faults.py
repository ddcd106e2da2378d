"""What goes wrong around a run is said in one line that names what to change; else it goes on."""

import os
import re
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from commands import REPO, command, environment, free_port, main
from PIL import Image

from vitjax import UserError, cli, train
from vitjax.config import default

SMALL = [
    f"--config.{word}"
    for word in [
        "num_epochs=1",
        "data.max_examples=120",
        "data.batch_size=8",
        "model.num_layers=1",
        "model.mlp_dim=16",
        "model.hidden_dim=8",
        "model.num_heads=2",
        "model.patch_size=4",
        "data.image_size=8",
    ]
]
RED = "\x1b[31m"
MEAN, STD = "--config.data.mean=(0.5,)", "--config.data.std=(0.5,)"
TRAINING = {  # words of vitjax.main: what the one line says
    "std is nan": (f"{MEAN} --config.data.std=(nan,)", r"data\.std=.*nan.* should be numbers"),
    "std is text": (f"{MEAN} --config.data.std=('b',)", r"data\.std=\('b',\) should be numbers"),
    "std is nested": (f"{MEAN} --config.data.std=((1,),)", r"data\.std=.* should be numbers"),
    "std is tiny": (
        f"{MEAN} --config.data.std=(1e-40,)",
        r"data\.std=\(1e-40,\) should be from 1e-06 to 1, as pixels are in \[0, 1\]",
    ),
    "std of bytes": (f"{MEAN} --config.data.std=(63.0,)", r"data\.std=.* should be from 1e-06 to"),
    "std too many": (f"{MEAN} --config.data.std=(1,1)", r"should have 1 number\(s\) each"),
    "mean is infinite": (
        f"--config.data.mean=(1e400,) {STD}",
        r"data\.mean=\(inf,\) should be fin",
    ),
    "mean is text": (f"--config.data.mean=('a',) {STD}", r"data\.mean=\('a',\) should be numbers"),
    "mean of bytes": (f"--config.data.mean=(125.3,) {STD}", r"data\.mean=.* should be from 0 to 1"),
    "rate is infinite": (
        "--config.optim.learning_rate=inf",
        r"learning_rate=inf should be finite and above 0",
    ),
    "rate is negative": ("--config.optim.learning_rate=-1", r"learning_rate=-1\.0 should be above"),
    "clip is infinite": ("--config.optim.clip_norm=inf", r"clip_norm=inf should be finite and at"),
    "warm-up is nan": (
        "--config.schedule.warmup_epochs=nan",
        r"warmup_epochs=nan should be finite and at least 0",
    ),
    "share is nan": ("--config.data.valid_fraction=nan", r"valid_fraction=nan should be finite"),
    "steps beyond int32": (
        "--config.num_epochs=2147483647",
        r"config\.num_epochs=2147483647 makes .* steps, more than .* can be counted",
    ),
    "a group is no option": (
        "--config.optim=3",
        r"--config\.optim has options of its own: .*, --config\.optim\.name,",
    ),
    "brackets in the path": (
        "--workdir=runs/[a]/run",
        r"lies in '\[a\]', expected a path without brackets and backslashes",
    ),
    "a bucket": (
        "--workdir=gs://bucket/run",
        r"gs://bucket/run is no folder of this machine; .*cp",
    ),
    "a null byte": ("--workdir=a\0b", r"--workdir=a\\x00b .*null"),
    "several processes": ("--num_processes=2", "--coordinator and --process_id missing"),
    "red folder": (f"--workdir=/etc/hostname/{RED}", r"hostname/\\x1b\[31m: Not a directory"),
    "red config": (f"--config={RED}no.py", r"no config file \\x1b\[31mno\.py"),
    "red data": (
        f"--config.data.name=folder --config.data.data_dir=/{RED}no",
        r"no folder /\\x1b\[31mno",
    ),
}
OTHERS = {  # a command and its words: what the one line says
    "step": ("predict --workdir={run} --step=² x.png", "step ² has no checkpoint"),
    "sweep's processes": (
        "sweep --grid=seed=0,1 --num_processes=2",
        "--coordinator and --process_id missing",
    ),
    "sweep's group": (
        "sweep --grid=optim=3,4",
        r"optim in --grid has options of its own: .*, optim\.name,",
    ),
    "sweep's bucket": (
        "sweep --grid=seed=0,1 --workdir=s3://bucket/run",
        "s3://bucket/run is no folder of this machine",
    ),
    "sweep's memory": ("sweep --grid=seed=0,1 --memory_gib=nan", "memory_gib=nan should be fin"),
    "sweep's less than no memory": (
        "sweep --grid=seed=0,1 --memory_gib=-1",
        "should be finite and",
    ),
    "sweep's halving": ("sweep --grid=seed=0,1 --halve=²", "--halve=² should be epochs"),
    "a run in a bucket": ("evaluate --workdir=gs://bucket/run", "no folder of this machine"),
    "a red image": (f"predict --workdir={{run}} {RED}.png", r"error: \\x1b\[31m\.png: No such"),
}


def said(words, module="vitjax.main", **options):
    """The one line of a command that something is wrong with."""
    out, error = main(*words, module=module, code=None, **options)
    assert "Traceback" not in out + error
    assert error.count("\n") == 1, error
    assert "\x1b" not in error
    return error


@pytest.mark.parametrize("fault", TRAINING)
def test_training_says_in_one_line(fault, tmp_path):
    words, expected = TRAINING[fault]
    assert re.search(expected, said([*SMALL, f"--workdir={tmp_path}/run", *words.split(" ")]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("fault", OTHERS)
def test_other_commands_say_in_one_line(fault, digits_run, tmp_path):
    line, expected = OTHERS[fault]
    module, *words = line.format(run=digits_run).split(" ")
    small = [*SMALL, f"--workdir={tmp_path}/run"] if module == "sweep" else []
    assert re.search(expected, said([*small, *words], f"vitjax.{module}"))
    assert not (tmp_path / "run").exists()


def test_a_bucket_is_refused_in_python_too():
    with pytest.raises(UserError, match="gs://bucket/run is no folder of this machine"):
        train(default(), "gs://bucket/run")


def folder_of(root, *names):
    """A data set whose classes are called so, in bytes."""
    for name in names:
        place = os.path.join(os.fsencode(root), name)
        os.makedirs(place)
        for i in range(30):
            with open(os.path.join(place, b"%d.png" % i), "wb") as file:
                Image.fromarray(np.full((8, 8), 8 * i, np.uint8)).save(file, "PNG")
    return ["--config.data.name=folder", f"--config.data.data_dir={root}"]


def test_a_link_to_itself_is_named(tmp_path):
    words = folder_of(tmp_path / "set", b"cat", b"dog")
    (tmp_path / "set" / "loop").symlink_to("loop")
    assert re.search(r"loop \(Too many levels of symbolic links\); .* remove it", said(words))


def test_a_bad_image_is_named_without_its_colours(tmp_path):
    words = folder_of(tmp_path / "set", b"cat", b"dog")
    (tmp_path / "set" / "dog" / f"{RED}.png").write_text("")
    assert r"dog/\x1b[31m.png (no image)" in said([*SMALL, *words])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shown"), [(b"d\xe9g", r"d\udce9g"), (b"\x1b[31mred\xc2\x9b", r"\u001b[31mred\u009b")]
)
def test_classes_of_any_name_train_and_are_shown_escaped(name, shown, tmp_path):
    words = folder_of(tmp_path / "set", b"cat", name)
    run = f"--workdir={tmp_path / 'run'}"
    texts = [main(*SMALL, *words, run)[0]]
    texts.append(main(run, module="vitjax.evaluate")[0])
    main(run, module="vitjax.report")
    images = sorted((tmp_path / "set").glob("*/0.png"))
    texts += [main(run, *images, module="vitjax.predict")[0]]
    texts += [main(run, "--json", *images, module="vitjax.predict")[0]]
    for text in texts:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert all(shown in text.encode(errors="backslashreplace").decode() for text in texts[1:])


def run_in_shell(line, **options):
    words = " ".join(f"'{word}'" for word in command(*SMALL))
    return subprocess.run(
        ["sh", "-c", f"{words} {line}"], cwd=REPO, capture_output=True, text=True, **options
    )


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_a_run(closed, tmp_path):
    done = run_in_shell(f"--workdir={tmp_path}/run {closed}", env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "run" / "eval.json").exists()


@pytest.mark.slow
def test_closed_streams_do_not_end_one_of_several_processes(tmp_path):
    group = f"--coordinator=localhost:{free_port()} --num_processes=1 --process_id=0"
    done = run_in_shell(f"--workdir={tmp_path}/run {group} 2>&-", env=environment())
    assert done.returncode == 0
    assert (tmp_path / "run" / "eval.json").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_an_output_that_takes_no_more_is_said(tmp_path):
    done = run_in_shell(f"--workdir={tmp_path}/run > /dev/full", env=environment())
    assert done.returncode == 1
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.slow
def test_the_c_locale_takes_any_folder(tmp_path):
    run = tmp_path / "läuft ☃"
    done = run_in_shell(f"'--workdir={run}'", env=environment(LC_ALL="C"))
    assert done.returncode == 0, done.stderr
    assert (run / "eval.json").exists()


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.slow
def test_a_full_disk_is_said_in_one_line(tmp_path):
    """As one is whose files may not grow any more."""
    words = command(*SMALL, "--config.model.hidden_dim=64", f"--workdir={tmp_path / 'run'}")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words],
        cwd=REPO,
        env=environment(JAX_ENABLE_COMPILATION_CACHE="0"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"error: cannot write a checkpoint to .*\n", done.stderr), done.stderr


def test_writes_that_an_error_leaves_unbegun_are_not_warned_of():
    """As Orbax leaves them now and then, when the disk is full."""
    script = """
        import sys
        from vitjax import UserError, cli

        async def write():
            pass

        def fail():
            write()
            raise UserError("no space")

        sys.exit(cli.Command("").run(fail, None))
    """
    words = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: no space\n")


@pytest.mark.parametrize("error", [jax.errors.JaxRuntimeError, RuntimeError, MemoryError])
def test_no_memory_is_said_in_one_line(error, capsys):
    """Whichever library has none."""

    def fail():
        raise error("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nAllocator: ...")

    assert cli.Command("").run(fail, []) == 1
    said = capsys.readouterr().err
    expected = (
        r"error: out of memory \(RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes\.\); .*\n"
    )
    assert re.fullmatch(expected, said)
