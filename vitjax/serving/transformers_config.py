"""What transformers reads beside weights: how a network is built, and what its images need."""

from collections.abc import Callable
from typing import Any

from vitjax.errors import UserError
from vitjax.inference.predictor import Predictor

_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh", "relu": "relu"}


def network(predictor: Predictor) -> dict[str, Any]:
    """Returns config.json, of a ViT, Swin or ResNet; raises UserError for what it cannot say."""
    model: Any = predictor.model
    name = type(model).__name__
    names = dict(enumerate(predictor.class_names))
    return {
        "architectures": [f"{name}ForImageClassification"],
        "model_type": name.lower(),
        "num_channels": predictor.image_shape[-1],
        "id2label": {str(i): label for i, label in names.items()},
        "label2id": {label: i for i, label in names.items()},
        **_SIZES[name](predictor, model),
    }


def _tokens(predictor: Predictor, model: Any) -> dict[str, Any]:
    """What ViT and Swin have alike."""
    if model.activation not in _ACTIVATIONS:
        raise UserError(
            f"transformers has no config.model.activation={model.activation}; choose "
            "--format=safetensors, stablehlo or onnx"
        )
    height, width = predictor.input_shape[:2]
    return {
        "image_size": height if height == width else [height, width],
        "patch_size": model.patch_size,
        "qkv_bias": model.qkv_bias,
        "hidden_act": _ACTIVATIONS[model.activation],
        "layer_norm_eps": model.norm_epsilon,
    }


def _vit(predictor: Predictor, model: Any) -> dict[str, Any]:
    return _tokens(predictor, model) | {
        "hidden_size": model.hidden_dim,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "intermediate_size": model.mlp_dim,
        "hidden_dropout_prob": model.dropout_rate,
        "attention_probs_dropout_prob": model.attention_dropout_rate,
    }


def _swin(predictor: Predictor, model: Any) -> dict[str, Any]:
    smallest = min(min(windows.size) for windows in model.windows(*predictor.input_shape[:2]))
    if smallest < model.window_size:  # its table of biases would not fit its windows
        raise UserError(
            f"transformers has no Swin with config.model.window_size={model.window_size} on a map "
            f"of {smallest} tokens; choose --format=safetensors, timm, stablehlo or onnx"
        )
    return _tokens(predictor, model) | {
        "embed_dim": model.hidden_dim,
        "depths": list(model.stage_sizes),
        "num_heads": list(model.num_heads),
        "window_size": model.window_size,
        "mlp_ratio": float(model.mlp_ratio),
        "drop_path_rate": model.drop_path_rate,
    }


def _resnet(predictor: Predictor, model: Any) -> dict[str, Any]:
    times = 4 if model.block == "bottleneck" else 1
    return {
        "embedding_size": model.width,
        "hidden_sizes": [model.width * 2**i * times for i in range(len(model.stage_sizes))],
        "depths": list(model.stage_sizes),
        "layer_type": model.block,
        "hidden_act": "relu",
    }


_SIZES: dict[str, Callable[[Predictor, Any], dict[str, Any]]] = {
    "ViT": _vit,
    "Swin": _swin,
    "ResNet": _resnet,
}


def processor(predictor: Predictor) -> dict[str, Any] | None:
    """Returns preprocessor_config.json; None where transformers cannot do what the run does."""
    how = _fit(predictor)
    return how and how | {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(predictor.mean),
        "image_std": list(predictor.std),
    }


def _fit(predictor: Predictor) -> dict[str, Any] | None:
    """Says how an image of any size becomes what the model sees; None where it cannot be said."""
    height, width = predictor.input_shape[:2]
    size = {"height": height, "width": width}
    if predictor.config.data.fit == "resize":
        return {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": size,
            "resample": 2,  # bilinear
        }
    if predictor.input_shape != predictor.image_shape:
        return None  # it cuts after it resizes, not before
    return {
        "image_processor_type": "BitImageProcessor",
        "do_resize": False,
        "do_center_crop": True,
        "crop_size": size,
    }
