"""ONNX files: from a graph, and computed with ONNX Runtime. The only importer of both libraries."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vitjax import files
from vitjax.errors import UserError
from vitjax.serving.onnx_graph import Graph

# The oldest that has all operations, so that old and small runtimes read it too.
_OPSET, _IR_VERSION = 18, 8


def write(
    path: Path,
    graph: Graph,
    images: tuple[str, tuple[int, ...]],
    outputs: Mapping[str, int],
    description: Mapping[str, Any],
) -> None:
    """Writes a graph; `images` names the input and its shape [H, W, C], uint8.

    `outputs` are names and widths [B, width], float32; `description` becomes the file's metadata.
    Raises UserError where the file cannot be written, or the library is absent.
    """
    onnx = _onnx()
    helper, kinds = onnx.helper, onnx.TensorProto
    name, shape = images
    model = helper.make_model(
        helper.make_graph(
            [_node(helper, node) for node in graph.nodes],
            "vitjax",
            [helper.make_tensor_value_info(name, kinds.UINT8, ["batch", *shape])],
            [
                helper.make_tensor_value_info(output, kinds.FLOAT, ["batch", width])
                for output, width in outputs.items()
            ],
            [onnx.numpy_helper.from_array(x, name) for name, x in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="vitjax",
    )
    helper.set_model_props(model, {key: json.dumps(value) for key, value in description.items()})
    onnx.checker.check_model(model)
    files.write(path, model.SerializeToString())


def compute(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a file gives for images uint8 [B, H, W, C], by the name of the output."""
    session = _runtime().InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {session.get_inputs()[0].name: images})
    return dict(zip(names, found, strict=True))


def _node(helper: Any, node: Any) -> Any:
    attributes = dict(node.attributes)
    if node.op == "Cast":
        attributes["to"] = helper.np_dtype_to_tensor_dtype(attributes["to"])
    return helper.make_node(node.op, node.inputs, node.outputs, **attributes)


def _onnx() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise _lacking("onnx") from error
    return onnx


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise _lacking("onnxruntime") from error
    return onnxruntime


def _lacking(library: str) -> UserError:
    return UserError(f"ONNX files need {library}: pip install '.[export]' in the checkout")
