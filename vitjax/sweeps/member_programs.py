"""The programs of training/step.py for many members of a sweep, with a leading member axis [K].

Members are split over the devices, whole, so that devices exchange nothing. On an accelerator a
device trains its members together (`vmap`); on a CPU one after the other within the same program,
which costs less there: small networks gain no speed from larger arrays, but lose the cache.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitjax.data.on_device import AtRest, Batches, Chunk, DeviceImages
from vitjax.data.order import Order
from vitjax.training.metrics import Metrics
from vitjax.training.schedule import Schedule
from vitjax.training.state import TrainState
from vitjax.training.step import Recipe, begin, evaluate, evaluate_split, order_of, train_step

Values = Mapping[str, jax.Array]  # option -> its value in each member, [K, ...]

_MEMBERS, _SHARED = PartitionSpec("member"), PartitionSpec()


class MemberPrograms:
    """The compiled functions of a group of members on a mesh with the axis `member`.

    `build` makes the recipe and the schedule of one member from its values; `seed` is that of all
    members unless the values have one; `vectorize` trains the members of a device at once,
    None: as is faster, not on a CPU. States and masks have a leading [K].
    """

    def __init__(
        self,
        build: Callable[[Values], tuple[Recipe, Schedule]],
        seed: int,
        seeded: bool,
        mesh: Mesh,
        vectorize: bool | None = None,
    ):
        self._build, self._seed, self.seeded, self.mesh = build, seed, seeded, mesh
        if vectorize is None:
            vectorize = mesh.devices.flat[0].platform != "cpu"
        self._vectorize = vectorize
        orders = _MEMBERS if seeded else _SHARED
        # As step.Programs does: runs once, so that it had better compile quickly.
        quick = {} if self._vectorize else {"xla_backend_optimization_level": 0}
        self.init = self._jit(self._init, (_MEMBERS, _MEMBERS), _MEMBERS, compiler_options=quick)
        self.epoch_order = self._jit(self._order, (_MEMBERS, _SHARED), orders)
        self.chunks = NamedSharding(mesh, PartitionSpec(None, "member") if seeded else _SHARED)
        at_rest: Any = AtRest(_SHARED, orders, _SHARED)  # type: ignore[arg-type]
        chunk: Any = Chunk(self.chunks.spec, self.chunks.spec, _SHARED)  # type: ignore[arg-type]
        self.train = self._jit_train(at_rest)
        self.train_chunk = self._jit_train(chunk)
        self.evaluate = self._jit(self._evaluate, (_MEMBERS, _MEMBERS, _SHARED), _MEMBERS)
        self.evaluate_chunk = self._jit(
            self._evaluate_chunk, (_MEMBERS, _MEMBERS, _SHARED, _SHARED, _MEMBERS), _MEMBERS
        )
        self.learning_rate = self._jit(self._rate, (_MEMBERS, _MEMBERS, _SHARED), _MEMBERS)
        self.member = jax.jit(  # one member of [K, ...], on every device
            lambda tree, place: jax.tree.map(lambda x: x[place], tree),
            out_shardings=NamedSharding(mesh, _SHARED),
        )
        self.select = self._jit(select, (_MEMBERS, _MEMBERS, _MEMBERS), _MEMBERS)
        # Any members of any number, so over all devices.
        self.take = jax.jit(
            lambda tree, places: jax.tree.map(lambda x: x[places], tree),
            out_shardings=self.sharding,
        )

    @property
    def sharding(self) -> NamedSharding:
        """Where arrays with a member axis lie."""
        return NamedSharding(self.mesh, _MEMBERS)

    def _jit(self, function: Callable, in_specs: Any, out_specs: Any, **options: Any) -> Callable:
        local = jax.shard_map(
            function, mesh=self.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
        )
        return jax.jit(local, **options)

    def _jit_train(self, batches: Any) -> Callable:
        """Returns the program of `_train` for batches that lie so."""
        given = (_MEMBERS, _MEMBERS, _MEMBERS, batches, _SHARED, _SHARED)
        return self._jit(self._train, given, (_MEMBERS, _MEMBERS), donate_argnums=(1, 2))

    def _each(self, function: Callable, *members: Any) -> Any:
        """Calls the function for every member of this device."""
        if self._vectorize:
            return jax.vmap(function)(*members)
        return jax.lax.map(lambda member: function(*member), members)

    def seed_of(self, values: Values) -> Any:
        """Returns the seed of the member that has these values."""
        return values["seed"] if self.seeded else jnp.uint32(self._seed)

    def _init(self, values: Values, places: jax.Array) -> TrainState:
        """Returns the states before the first step; places [K] only say how many there are."""

        def one(values: Values, place: jax.Array) -> TrainState:
            del place
            return begin(self._build(values)[0], self.seed_of(values))

        return self._each(one, values, places)

    def _order(self, values: Values, epoch: jax.Array) -> Order:
        """Returns the order of an epoch: each member's, or the one that they share."""

        def one(values: Values) -> Order:
            return order_of(self._build(values)[0], self.seed_of(values), epoch)

        if self.seeded:
            return self._each(one, values)
        return one(jax.tree.map(lambda x: x[0], values))

    def _train(
        self,
        values: Values,
        states: TrainState,
        active: jax.Array,
        batches: Batches,
        first: jax.Array,
        stop: jax.Array,
    ) -> tuple[TrainState, jax.Array]:
        """Trains the active members from step `first` until `stop`, within an epoch.

        A member whose numbers are not finite stays as it was before that step, and is not active
        any more.
        """

        def one(values: Values, state: TrainState, active: jax.Array, *own_part: Any):
            recipe, seed = self._build(values)[0], self.seed_of(values)
            own = batches.replace(**own_part[0]) if own_part else batches  # type: ignore

            def unfinished(carry: tuple[jax.Array, TrainState, jax.Array]) -> jax.Array:
                """Whether there are steps to do."""
                step, _, active = carry
                # Vectorised, a condition that differs by member would cost a select of all states.
                return (step < stop) if self._vectorize else (step < stop) & active

            def body(carry: tuple[jax.Array, TrainState, jax.Array]):
                """Does a step of an active member."""
                step, state, active = carry
                # The common step: what depends on it and the seed alone is computed once.
                new, finite = train_step(recipe, self.mesh, seed, own, state.replace(step=step))
                if self._vectorize:
                    new = select(active, new, state)
                return step + 1, new, active & finite

            return jax.lax.while_loop(unfinished, body, (first, state, active))[1:]

        parts = [own_parts(batches, len(active))] if self.seeded else []
        return self._each(one, values, states, active, *parts)

    def _evaluate(self, values: Values, states: TrainState, split: DeviceImages) -> Metrics:
        def one(values: Values, variables: Any) -> Metrics:
            return evaluate_split(self._build(values)[0], self.mesh, variables, split)

        return self._each(one, values, states.variables)

    def _evaluate_chunk(
        self, values: Values, states: TrainState, chunk: Chunk, count: jax.Array, metrics: Metrics
    ) -> Metrics:
        def one(values: Values, variables: Any, metrics: Metrics) -> Metrics:
            return evaluate(self._build(values)[0], self.mesh, variables, chunk, count, metrics)

        return self._each(one, values, states.variables, metrics)

    def _rate(self, values: Values, places: jax.Array, step: jax.Array) -> jax.Array:
        """Returns the learning rate of each member at a step."""
        return self._each(lambda values, place: self._build(values)[1](step), values, places)


def own_parts(batches: Batches, num_members: int) -> dict[str, Any]:
    """Returns what is each member's own of batches, with a leading [K].

    In a chunk [S, B] the batches of a step lie one behind another, as data/order.Together has them.
    """
    if isinstance(batches, AtRest):
        return {"order": batches.order}
    own = {"batches": batches.batches, "order": batches.order}
    return jax.tree.map(
        lambda x: x.reshape(len(x), num_members, -1, *x.shape[2:]).swapaxes(0, 1), own
    )


def select(which: jax.Array, new: Any, old: Any) -> Any:
    """Returns `new` where `which` ([] or [K]) says so, else `old`; trees with its leading axes."""

    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(which.reshape(which.shape + (1,) * (a.ndim - which.ndim)), a, b)

    return jax.tree.map(choose, new, old)
