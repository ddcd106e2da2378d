"""What shells complete behind `vitjax`, asked of those that are installed."""

import shlex
import shutil
import subprocess

import pytest
from commands import REPO, main

from vitjax.__main__ import COMMANDS
from vitjax.completion import SHELLS

# What readline does before it calls a function: it cuts the line at spaces, = and :.
ASK_BASH = """
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
line=$1
words=${line//=/ = }
COMP_WORDS=(${words//:/ : })
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $line == *' ' ]] && COMP_CWORD=${#COMP_WORDS[@]}
COMP_LINE=$line COMP_POINT=${#line}
_vitjax
printf '%s\\n' "${COMPREPLY[@]}"
"""
ASK_FISH = 'complete -C "$argv[1]"'


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shells")
    for shell in SHELLS:
        (folder / shell).write_text(main(shell, module="vitjax.completion")[0])
    return folder


def ask(shell, script, line):
    """What a shell offers for a line; bash only what is behind the line's last = or :."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    code = f"source {shlex.quote(str(script))}\n{ASK_BASH if shell == 'bash' else ASK_FISH}"
    words = [shell, "-c", code, *(["ask"] if shell == "bash" else []), line]
    out = subprocess.check_output(words, text=True, cwd=REPO)
    return [offer.split("\t")[0] for offer in out.splitlines()]


def test_bash_offers_every_command(scripts):
    offers = ask("bash", scripts / "bash", "vitjax ")
    assert offers == [f"{name} " for name in COMMANDS]


LINES = {  # what is typed: the end of it that bash replaces, and what both offer for it
    "vitjax tr": ("tr", ["train "]),
    "vitjax train --w": ("--w", ["--workdir="]),
    "vitjax runs --js": ("--js", ["--json "]),
    "vitjax export --format=o": ("o", ["onnx "]),
    "vitjax train --config=vit_ci": ("vit_ci", ["vit_cifar100 "]),
    "vitjax train --config=vit_cifar100:8": ("8", ["8p4l ", "8p8l "]),
    "vitjax sweep --config=vit_digits:": ("", ["debug "]),
    "vitjax train --config=configs/vit_ci": ("configs/vit_ci", ["configs/vit_cifar100.py "]),
    "vitjax check --config.optim.ac": ("--config.optim.ac", ["--config.optim.accumulation_steps="]),
    "vitjax check --config.model.ke": ("--config.model.ke", ["--config.model.kernel_init="]),
    "vitjax predict --workdir=vitj": ("vitj", ["vitjax/"]),
    "vitjax compare vitj": ("vitj", ["vitjax/"]),
    "vitjax completion z": ("z", ["zsh "]),
    "vitjax pretrained --w": ("--w", []),
}


@pytest.mark.parametrize("line", LINES)
def test_bash_completes(scripts, line):
    assert [o for o in ask("bash", scripts / "bash", line) if o] == LINES[line][1]


@pytest.mark.parametrize("line", LINES)
def test_fish_completes(scripts, line):
    end, offers = LINES[line]
    before = line.split(" ")[-1].removesuffix(end)
    assert ask("fish", scripts / "fish", line) == [before + offer.rstrip() for offer in offers]


def test_zsh_reads_its_script(scripts):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    subprocess.run(["zsh", "-n", scripts / "zsh"], check=True)


def test_another_shell_is_refused():
    _, err = main("tcsh", module="vitjax.completion", code=1)
    assert err == "error: shell tcsh given, expected one of bash, zsh, fish\n"
