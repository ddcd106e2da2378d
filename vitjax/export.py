"""Writes the model of a run as a file that other programs compute with, or read weights from.

python -m vitjax.export --workdir=runs/digits --format=onnx --out=digits.onnx

stablehlo, onnx: the whole computation, from images as they are stored to classes. safetensors: the
weights under vitjax's names, for --config.finetune.weights. hub: a folder to upload, with these and
a model card. transformers: a folder for from_pretrained. timm, vit_pytorch: weights under the names
of these libraries. Each is read again and compared with the model, at its best epoch on validation.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitjax import cli

if TYPE_CHECKING:
    from vitjax.serving.exporting import Format


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    command.section("What")
    workdir = command.path("workdir", None, "Folder of the run.", required=True)
    command.section("Output")
    out = command.path(
        "out", None, "File, or for hub and transformers folder, to write.", required=True
    )
    formats: list[Format] = [
        *("stablehlo", "onnx", "safetensors", "hub", "transformers", "timm", "vit_pytorch")
    ]
    kind = command.choice("format", "stablehlo", formats, "What to write.")

    def main() -> int:
        import vitjax

        vitjax.load(workdir.value).export(out.value, kind.value)
        return 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
