"""At full size, too, networks of the other libraries are ours; with the extra [bench]."""

import pytest
import verify


@pytest.mark.slow
@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_a_network_at_full_size_is_converted_and_learns(library, capsys):
    for module in ("torch", library):
        pytest.importorskip(module, reason=f"{module} is not installed")
    assert verify.run(["resnet18", f"--library={library}", "--finetune"]) == 0
    out = capsys.readouterr().out
    assert "stage_3/block_1" in out
    assert "loaded again exactly" in out


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
