"""What a run compiles: begin, order, train, evaluate.

The only `jax.jit` of training, with that of sweeps/member_programs.py, which runs the same for many
members.
"""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from vitjax.data import order
from vitjax.data.augment import Augmentation, normalise, resize
from vitjax.data.on_device import AtRest, Batches, Chunk, DeviceImages
from vitjax.data.order import Order
from vitjax.models.parts.attend import FEW_TOKENS
from vitjax.runs.weights import merge
from vitjax.training.distill import Distillation
from vitjax.training.finetune import split
from vitjax.training.losses import Loss
from vitjax.training.metrics import Metrics, batch_metrics
from vitjax.training.placement.sharding import (
    data_shards,
    in_parts,
    num_parts,
    placed,
    replicated,
    split_batch,
    whole,
)
from vitjax.training.state import TrainState, init_state

# Leaves batched products to Eigen: 14 % off a step of attention over 197 tokens, 3 % more at 17.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What training computes, as plain values and pure functions."""

    model: nn.Module
    tx: optax.GradientTransformation
    loss: Loss
    augmentation: Augmentation
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    image_shape: tuple[int, int, int]  # H, W, C that the model sees
    num_classes: int
    num_examples: int  # of the train split
    batch_size: int  # over all devices
    eval_batch_size: int = 256
    drop_remainder: bool = False
    accumulation_steps: int = 1  # micro-batches that a batch is cut into
    ema_decay: float = 0.0  # 0: no averaged parameters
    skip_nonfinite: int = 0  # steps in a row that may be left out where a number is not finite
    train_only: str = ""  # which parameters learn, as finetune.split takes it
    distillation: Distillation | None = None  # what the loss takes from a teacher

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return order.num_batches(self.num_examples, self.batch_size, self.drop_remainder)

    @property
    def order_options(self) -> tuple[int, int, bool, int]:
        """What the order of an epoch depends on, as `order.epoch_order` takes it."""
        repeats = self.augmentation.repeats
        return self.num_examples, self.batch_size, self.drop_remainder, repeats

    @property
    def dtype(self) -> Any:
        """What the model computes in."""
        return getattr(self.model, "dtype", jnp.float32)


class Batch(NamedTuple):
    """Examples ready for the model."""

    images: jax.Array  # float32 [B, H, W, C], normalised
    targets: jax.Array  # float32 [B, K], rows sum to 1
    labels: jax.Array  # int32 [B]
    mask: jax.Array  # bool [B], False for padding


class Gathered(NamedTuple):
    """Examples as they lie in the data set."""

    indices: jax.Array  # int32 [B]
    images: jax.Array  # uint8 [B, H, W, C]
    labels: jax.Array  # int32 [B]
    mask: jax.Array  # bool [B], False for padding


def gather_batch(mesh: Mesh, batches: Batches, i: Any) -> Gathered:
    """Gathers the examples of batch `i`."""
    at = split_batch(mesh, jax.tree.map(lambda x: x[i], batches.order))
    found = batches.at(i, at)
    # What follows the barrier is the same to the last bit wherever the batch came from.
    images = jax.lax.optimization_barrier(found.images())
    return Gathered(at.indices, images, found.labels, at.mask)


def augment_batch(recipe: Recipe, mesh: Mesh, seed: Any, epoch: Any, batch: Gathered) -> Batch:
    """Augments the examples of a batch of `epoch`."""
    repeats = recipe.augmentation.repeats
    numbers = order.copy_numbers(batch.indices, recipe.num_examples, repeats)
    keys = order.example_keys(seed, epoch, numbers)
    images = recipe.augmentation.images(keys, batch.images, recipe.mean, recipe.std)
    images = resize(images, recipe.image_shape)
    targets = jax.nn.one_hot(batch.labels, recipe.num_classes)
    images, targets = recipe.augmentation.batch(keys, images, targets)
    return split_batch(mesh, Batch(images, targets, batch.labels, batch.mask))


def summed_loss(recipe: Recipe, variables: Any, batch: Batch, key: jax.Array):
    """Returns the loss summed over the batch, its metrics and the model's next state."""
    logits: Any
    logits, model_state = recipe.model.apply(
        variables,
        batch.images,
        train=True,
        rngs={"dropout": key},
        mutable=[name for name in variables if name != "params"],
    )
    losses, weights = recipe.loss(logits, batch.targets)
    if recipe.distillation is not None:
        losses = recipe.distillation.mix(losses, weights, batch.images, logits)
    losses, weights = losses * batch.mask, weights * batch.mask
    metrics = batch_metrics(losses, weights, logits, batch.labels, batch.mask)
    return jnp.sum(losses), (metrics, model_state)


def gradients(recipe: Recipe, mesh: Mesh, variables: Any, batch: Batch, key: jax.Array):
    """Returns the gradient of the weighted mean loss, the batch's metrics, the model's next state.

    The gradient is that of the parameters that learn; for the others none is computed.
    """
    learning, frozen = split(variables["params"], recipe.train_only)
    model_state = {name: state for name, state in variables.items() if name != "params"}

    def loss(learning: Any, model_state: Any, batch: Batch, key: jax.Array):
        params = whole(mesh, merge(frozen, learning), recipe.dtype)
        return summed_loss(recipe, {"params": params, **model_state}, batch, key)

    grad = jax.grad(loss, has_aux=True)
    parts = recipe.accumulation_steps
    if parts == 1:
        grads, (metrics, model_state) = grad(learning, model_state, batch, key)
    else:
        # Micro-batch i takes every parts-th example, so that each device keeps its own.
        cut = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

        def add(carry: Any, part: Any) -> tuple[Any, None]:
            """Adds the gradients and metrics of a micro-batch."""
            (total, model_state), (micro, micro_key) = carry, part
            grads, (metrics, model_state) = grad(
                learning, model_state, split_batch(mesh, micro), micro_key
            )
            return (jax.tree.map(jnp.add, total, (grads, metrics)), model_state), None

        zero = in_parts(mesh, jax.tree.map(jnp.zeros_like, learning)), Metrics.zero()
        ((grads, metrics), model_state), _ = jax.lax.scan(
            add, (zero, model_state), (cut, jax.random.split(key, parts))
        )
    weight = jnp.where(metrics.weight > 0, metrics.weight, 1)
    return jax.tree.map(lambda g: g / weight, grads), metrics, model_state


def train_step(
    recipe: Recipe, mesh: Mesh, seed: Any, batches: Batches, state: TrainState
) -> tuple[TrainState, jax.Array]:
    """Returns the state after the batch of its step, and True; False where training stops.

    That is where a number is not finite, unless `recipe.skip_nonfinite` allows to leave the step
    out. Then the step, the parameters and the model's state are those before, for who looks where
    it went wrong, and to be kept; the optimiser's state, which nothing uses any more, is not: to
    keep it as well, which leaving steps out takes, costs small networks 4 % of a step.
    """
    epoch = state.step // recipe.steps_per_epoch
    gathered = gather_batch(mesh, batches, state.step - batches.first)
    batch = augment_batch(recipe, mesh, seed, epoch, gathered)
    key = order.dropout_key(seed, state.step)
    variables = {"params": state.params, **state.model_state}
    grads, metrics, model_state = gradients(recipe, mesh, variables, batch, key)
    return update(recipe, state, grads, metrics, model_state)


def update(
    recipe: Recipe, state: TrainState, grads: Any, metrics: Metrics, model_state: Any
) -> tuple[TrainState, jax.Array]:
    """Returns what `train_step` does, from a batch's gradient, metrics and next model state."""
    learning, _ = split(state.params, recipe.train_only)
    first = state.step % recipe.steps_per_epoch == 0
    before = jax.tree.map(lambda x: jnp.where(first, 0, x), (state.metrics, state.sums))
    updates, opt_state = recipe.tx.update(grads, state.opt_state, learning)
    new = optax.apply_updates(learning, updates)
    # Both norms: an update may overflow, and Lion's sign hides a gradient that is infinite.
    grad_norm = _norm(grads)
    finite = jnp.isfinite(metrics.loss) & jnp.isfinite(grad_norm + optax.tree.norm(new))
    kept, model_state = jax.tree.map(
        functools.partial(jnp.where, finite), (new, model_state), (learning, state.model_state)
    )
    ema_params = state.ema_params
    if ema_params is not None:
        ema_params = optax.incremental_update(kept, ema_params, 1 - recipe.ema_decay)
    goes_on, skipped = finite, state.skipped
    if skipped is not None:
        skipped = jnp.where(finite, 0, skipped + 1)
        goes_on = skipped <= recipe.skip_nonfinite
        # All else stays as it is too, since the next step begins with it.
        metrics, opt_state, ema_params = jax.tree.map(
            functools.partial(jnp.where, finite),
            (metrics, opt_state, ema_params),
            (Metrics.zero(), state.opt_state, state.ema_params),
        )
    after = TrainState(
        step=state.step + goes_on,
        params=merge(state.params, kept),
        model_state=model_state,
        opt_state=opt_state,
        ema_params=ema_params,
        metrics=before[0] + metrics,
        sums=before[1].add(grad_norm, finite),
        skipped=skipped,
    )
    return after, goes_on


def _norm(tree: Any) -> jax.Array:
    """Returns the norm of all numbers of a tree.

    Those of its arrays are stacked first: XLA would fuse sums that only add up into what made the
    arrays, otherwise in a run that streams than in one at rest, and they would differ in a bit.
    """
    norms = [jnp.sqrt(jnp.sum(jnp.square(x))) for x in jax.tree.leaves(tree)]
    return jnp.sqrt(jnp.sum(jnp.square(jnp.stack(norms))))


def evaluate(
    recipe: Recipe, mesh: Mesh, variables: Any, batches: Batches, count: Any, metrics: Metrics
) -> Metrics:
    """Returns `metrics` and those over the first `count` of batches, padding left out."""
    variables = whole(mesh, variables, recipe.dtype)

    def add_batch(i: jax.Array, metrics: Metrics) -> Metrics:
        """Adds the metrics of batch `i`."""
        _, stored, labels, mask = gather_batch(mesh, batches, i)
        images = resize(normalise(stored, recipe.mean, recipe.std), recipe.image_shape)
        logits: Any = recipe.model.apply(variables, split_batch(mesh, images))
        targets = jax.nn.one_hot(labels, recipe.num_classes)
        losses, weights = (x * mask for x in recipe.loss(logits, targets))
        return metrics + batch_metrics(losses, weights, logits, labels, mask)

    return jax.lax.fori_loop(0, count, add_batch, metrics)


def evaluate_split(recipe: Recipe, mesh: Mesh, variables: Any, split: DeviceImages) -> Metrics:
    """Returns the metrics over all of a split, every example counted once."""
    at = order.in_turn(len(split.labels), evaluation_batch(recipe, mesh, len(split.labels)))
    batches = AtRest(split, at, jnp.int32(0))
    return evaluate(recipe, mesh, variables, batches, len(at.mask), Metrics.zero())


def evaluation_batch(recipe: Recipe, mesh: Mesh, num_examples: int) -> int:
    """Returns how many of a split's examples a batch takes, a multiple of the devices."""
    shards = data_shards(mesh)
    return -(-min(recipe.eval_batch_size, num_examples) // shards) * shards


def begin(recipe: Recipe, seed: Any) -> TrainState:
    """Returns the state before the first step."""
    return init_state(
        recipe.model,
        recipe.tx,
        seed,
        recipe.image_shape,
        train_only=recipe.train_only,
        ema=recipe.ema_decay > 0,
        counts_skipped=recipe.skip_nonfinite > 0,
    )


def order_of(recipe: Recipe, seed: Any, epoch: Any) -> Order:
    """Returns which examples the batches of an epoch hold."""
    return order.epoch_order(seed, epoch, *recipe.order_options)


class Programs:
    """The compiled functions of one recipe on one mesh.

    States lie as `abstract_state` says, all other arguments and results are replicated.
    """

    def __init__(self, recipe: Recipe, mesh: Mesh):
        self.recipe, self.mesh = recipe, mesh
        out = replicated(mesh)
        of_state: Any = out
        if num_parts(mesh) > 1:
            of_state = jax.tree.map(lambda x: x.sharding, self.abstract_state)
        # Runs once, so that compiling it quickly is worth more than running it quickly.
        quick = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
        self.init = jax.jit(  # seed -> state
            self._init, out_shardings=of_state, compiler_options=quick
        )
        self.epoch_order = jax.jit(self._order, out_shardings=out)  # seed, epoch -> Order
        self.train = jax.jit(self._train, out_shardings=of_state, donate_argnums=0)
        self.evaluate = jax.jit(self._evaluate, out_shardings=out)  # variables, split -> Metrics
        self.evaluate_chunk = jax.jit(self._evaluate_chunk, out_shardings=out)

    @functools.cached_property
    def abstract_state(self) -> Any:
        """The shapes and the placement of the state."""
        seed = jax.ShapeDtypeStruct((), jnp.uint32)
        return placed(self.mesh, jax.eval_shape(self._init, seed))

    def _init(self, seed: jax.Array) -> TrainState:
        return begin(self.recipe, seed)

    def _order(self, seed: jax.Array, epoch: jax.Array) -> Order:
        return order_of(self.recipe, seed, epoch)

    def _train(
        self,
        state: TrainState,
        seed: jax.Array,
        batches: Batches,
        stop: jax.Array,
    ) -> TrainState:
        """Trains until step `stop`, which `batches` reach, or up to a step that is not finite.

        A state that stopped in batches before these stays as it is.
        """

        def unfinished(carry: tuple[TrainState, jax.Array]) -> jax.Array:
            """Whether there are steps to do."""
            state, finite = carry
            return (state.step < stop) & finite

        def body(carry: tuple[TrainState, jax.Array]) -> tuple[TrainState, jax.Array]:
            """Does a step."""
            state, finite = train_step(self.recipe, self.mesh, seed, batches, carry[0])
            return in_parts(self.mesh, state), finite

        return jax.lax.while_loop(unfinished, body, (state, state.step >= batches.first))[0]

    def _evaluate(self, variables: Any, split: DeviceImages) -> Metrics:
        return evaluate_split(self.recipe, self.mesh, variables, split)

    def _evaluate_chunk(
        self, variables: Any, chunk: Chunk, count: jax.Array, metrics: Metrics
    ) -> Metrics:
        """Adds the first `count` batches of a chunk to `metrics`."""
        return evaluate(self.recipe, self.mesh, variables, chunk, count, metrics)


def aot(recipe: Recipe, *calls: tuple[Any, tuple]) -> list[Any]:
    """Compiles functions of a recipe, each for arguments like those beside it, ahead of calls."""
    options = _cpu_options(recipe) if jax.default_backend() == "cpu" else {}
    with ThreadPoolExecutor() as pool:  # XLA compiles one program on one core
        compiled = [pool.submit(_compile, f.lower(*arguments), options) for f, arguments in calls]
        return [each.result() for each in compiled]


def _cpu_options(recipe: Recipe) -> dict[str, str]:
    """Returns the compile options that were measured to be faster on a CPU."""
    height, width, _ = recipe.image_shape
    patch_size = getattr(recipe.model, "patch_size", 1)
    num_tokens = (height // patch_size) * (width // patch_size)
    return {} if num_tokens <= FEW_TOKENS else CPU_OPTIONS


def _compile(program: Any, options: dict[str, str]) -> Any:
    """Compiles with options, or without those that this jaxlib does not know."""
    try:
        return program.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if not any(option in str(error) for option in options):
            raise
        return program.compile()
