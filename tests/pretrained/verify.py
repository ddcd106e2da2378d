"""Compares vitjax with transformers or timm at full size, block by block.

python tests/pretrained/verify.py swin_t --library=timm --finetune

Builds the library's network with random numbers, saves it as the library does, converts the file,
and computes random images with both. The exit code is 1 where a block's output or the logits differ
by more than 1e-4 of their largest value. With --finetune the converted weights also learn for one
step, are saved, and loaded again. Needs the extra [bench]; NAME is vit_ti ... swin_l.
"""

import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import reference

from vitjax import cli, text
from vitjax.compile_cache import use_compile_cache
from vitjax.errors import UserError

LIMIT = 1e-4  # of the largest value
IMAGE_SIZE, BATCH = 224, 2
AS_THEY_ARE = (0.0,) * 3, (1.0,) * 3  # mean and deviation of images that nothing normalises


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, takes_words=True)
    libraries = ["transformers", "timm"]
    library = command.choice("library", "transformers", libraries, "Compare with it.")
    finetune_too = command.switch("finetune", "Also train a step, save and load again.")

    def main() -> int:
        if len(command.words) != 1:
            raise UserError(f"expected one NAME, of {', '.join(reference.NAMES)}")
        use_compile_cache()
        (name,) = command.words
        with tempfile.TemporaryDirectory() as folder:
            worst = compare(name, library.value, Path(folder))
            if finetune_too.value:
                finetune(name, Path(folder))
        print(f"worst {worst:.1e} of the largest value, limit {LIMIT:g}")
        return int(not worst <= LIMIT)

    return command.run(main, argv)


def compare(name: str, library: str, folder: Path) -> float:
    """Prints how far each block of `name` is from the library's; returns the worst of them.

    Leaves the library's file, model.safetensors, in `folder`.
    """
    network = reference.build(name, library)
    images = np.random.RandomState(0).randn(BATCH, IMAGE_SIZE, IMAGE_SIZE, 3).astype(np.float32)
    logits, blocks = reference.compute(network, images)
    path = reference.save(network, library, folder)
    del network
    our_logits, our_blocks = _compute(name, library, path, images, blocks)
    if blocks.keys() != our_blocks.keys():
        raise UserError(f"{library} has the blocks {sorted(blocks)}, vitjax {sorted(our_blocks)}")
    pairs = {block: (our_blocks[block], output) for block, output in blocks.items()}
    pairs["logits"] = our_logits, logits
    worst, rows = 0.0, [("output", "largest value", "largest error", "relative")]
    for output, (ours, theirs) in pairs.items():
        size = np.abs(theirs).max()
        error = np.abs(ours.reshape(theirs.shape) - theirs).max()
        worst = float(np.fmax(worst, error / size)) if np.isfinite(error) else float("inf")
        rows.append((output, f"{size:.3f}", f"{error:.1e}", f"{error / size:.1e}"))
    print(text.table(rows))
    return worst


def _compute(
    name: str, library: str, path: Path, images: np.ndarray, names: Collection[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns vitjax's logits and the outputs of `names` by path, with the weights of a file."""
    import jax
    from flax.traverse_util import flatten_dict

    from vitjax import models
    from vitjax.pretrained.load import Inputs, load_weights

    # transformers builds ViT with this epsilon, everything else as vitjax does
    is_vit = library == "transformers" and name.startswith("vit")
    options: dict[str, Any] = {"norm_epsilon": 1e-12} if is_vit else {}
    model = models.create(name, reference.NUM_CLASSES, **options)
    inputs = Inputs(images.shape[1:], *AS_THEY_ARE)
    abstract = models.abstract_variables(model, inputs.shape)
    fresh = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), abstract)
    variables = load_weights(str(path), fresh, model, inputs, print)

    def forward(variables: Any, images: jax.Array) -> Any:
        return model.apply(
            variables,
            images,
            mutable=["intermediates"],
            capture_intermediates=lambda module, _: "/".join(module.path) in names,
        )

    with jax.default_matmul_precision("float32"):
        logits, collected = jax.jit(forward)(variables, images)
    flat = flatten_dict(collected["intermediates"], sep="/")
    blocks = {path.removesuffix("/__call__"): np.asarray(x) for path, (x,) in flat.items()}
    return np.asarray(logits), blocks


def finetune(name: str, folder: Path) -> None:
    """Trains one step from the file in `folder`, saves the run, exports it and loads it again.

    Raises UserError where the step moves nothing or what is loaded differs.
    """
    import jax
    from flax.traverse_util import flatten_dict, unflatten_dict

    from vitjax import models
    from vitjax.config import default
    from vitjax.pretrained import weight_files
    from vitjax.pretrained.load import Inputs, load_weights, read
    from vitjax.training.run import train_and_evaluate

    random = np.random.RandomState(0)
    splits: dict[str, Any] = {
        f"{split}_{kind}": random.randint(0, high, (BATCH, *shape)).astype(np.uint8)
        for split in ("train", "valid", "test")
        for kind, high, shape in (("images", 256, (IMAGE_SIZE, IMAGE_SIZE, 3)), ("labels", 2, ()))
    }
    splits["train_labels"] = np.arange(BATCH, dtype=np.uint8)
    np.savez(folder / "data.npz", **splits)
    config = default(name)
    config.num_epochs = 1
    config.data.update(name="npz", data_dir=str(folder / "data.npz"), batch_size=BATCH)
    config.optim.update(name="sgd", learning_rate=1e-3)
    config.finetune.weights = str(folder / "model.safetensors")
    train_and_evaluate(config, folder / "run")

    trained = read(folder / "run")
    weight_files.write(folder / "export.safetensors", trained, {})
    model = models.create(name, BATCH, **config.model)
    fresh = unflatten_dict({path: np.zeros_like(x) for path, x in trained.items()}, sep="/")
    inputs = Inputs((IMAGE_SIZE, IMAGE_SIZE, 3), *AS_THEY_ARE)
    again = load_weights(str(folder / "export.safetensors"), fresh, model, inputs, print)
    before = load_weights(config.finetune.weights, fresh, model, inputs, lambda _: None)
    again, before = (flatten_dict(jax.device_get(tree), sep="/") for tree in (again, before))
    differing = [path for path, x in trained.items() if not np.array_equal(again[path], x)]
    still = [path for path, x in trained.items() if np.array_equal(before[path], x)]
    if differing or len(still) == len(trained):
        raise UserError(f"{len(differing)} arrays differ after loading; {len(still)} did not move")
    print(
        f"a step moved {len(trained) - len(still)} of {len(trained)} arrays; loaded again exactly"
    )


if __name__ == "__main__":
    sys.exit(run())
