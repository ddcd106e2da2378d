"""The parts of a training step as programs of their own, and the step as training compiles it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vitjax.data import order
from vitjax.data.on_device import AtRest, Batches, abstract_images
from vitjax.data.stream import abstract_chunk
from vitjax.training import step
from vitjax.training.placement.sharding import of_batches, of_chunks, placed, split_batch, whole
from vitjax.training.step import Recipe


class Stage(NamedTuple):
    """A function of arrays, and arrays that stand for its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]  # trees of jax.ShapeDtypeStruct
    free: bool = False  # whether its arguments and results may lie as the compiler likes
    loop: bool = False  # whether it is a loop over batches


def programs(
    recipe: Recipe,
    mesh: Mesh,
    stored_shape: tuple[int, int, int] | None = None,
    streamed: bool = False,
) -> dict[str, Stage]:
    """Returns what training by `recipe` compiles: `epoch`, a loop over steps, and `evaluate`.

    `stored_shape` is that of the data's images, where the model sees them resized; `streamed`: an
    epoch is of batches that are brought to the devices.
    """
    of = step.Programs(recipe, mesh)
    seed, number = jax.ShapeDtypeStruct((), jnp.uint32), jax.ShapeDtypeStruct((), jnp.int32)
    state = of.abstract_state
    epoch_order = jax.eval_shape(of.epoch_order, seed, number)
    split = abstract_images((recipe.num_examples,), stored_shape or recipe.image_shape)
    batches: Batches = AtRest(split, epoch_order, number)
    if streamed:
        shape = stored_shape or recipe.image_shape
        batches = abstract_chunk(recipe.batch_size, shape, of_chunks(mesh))
    return {
        "epoch": Stage(of.train, (state, seed, batches, number), loop=True),
        "evaluate": Stage(of.evaluate, (state.variables, split), loop=True),
    }


def stages(
    recipe: Recipe, mesh: Mesh, stored_shape: tuple[int, int, int] | None = None
) -> dict[str, Stage]:
    """Returns the parts of a training step, and the programs of `programs`.

    Where a part takes a batch from another it lies as the compiler likes, as within the epoch.
    """
    trained = programs(recipe, mesh, stored_shape)
    state, seed, batches, number = trained["epoch"].arguments
    in_parts = of_batches(mesh)

    def split_over_chips(batch: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=in_parts), batch
        )

    def gather(batches: Any, i: Any) -> Any:
        return step.gather_batch(mesh, batches, i)

    def augment(seed: Any, epoch: Any, batch: Any) -> Any:
        return step.augment_batch(recipe, mesh, seed, epoch, batch)

    def forward(variables: Any, batch: Any, seed: Any, number: Any) -> Any:
        key = order.dropout_key(seed, number)
        used = whole(mesh, variables, recipe.dtype)
        return step.summed_loss(recipe, used, split_batch(mesh, batch), key)

    def gradients(variables: Any, batch: Any, seed: Any, number: Any) -> Any:
        key = order.dropout_key(seed, number)
        return step.gradients(recipe, mesh, variables, split_batch(mesh, batch), key)

    def update(state: Any, *computed: Any) -> Any:
        return step.update(recipe, state, *computed)

    gathered = split_over_chips(jax.eval_shape(gather, batches, number))
    batch = split_over_chips(jax.eval_shape(augment, seed, number, gathered))
    training = state_variables(state)
    computed = placed(mesh, jax.eval_shape(gradients, training, batch, seed, number))
    return {
        "gather": Stage(gather, (batches, number)),
        "augment": Stage(augment, (seed, number, gathered), free=True),
        "forward": Stage(forward, (training, batch, seed, number), free=True),
        "gradients": Stage(gradients, (training, batch, seed, number), free=True),
        "update": Stage(update, (state, *computed)),
        **trained,
    }


def state_variables(state: Any) -> dict[str, Any]:
    """Returns what the model learns with: its parameters and its state."""
    return {"params": state.params, **state.model_state}
