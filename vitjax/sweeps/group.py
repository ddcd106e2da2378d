"""Members of a sweep that train together: their programs, their data, and the memory it takes."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vitjax.config import to_json
from vitjax.data import on_device
from vitjax.data.dataset import Dataset
from vitjax.data.on_device import bytes_of
from vitjax.data.order import EpochOrders, Together
from vitjax.data.stream import CHUNKS_AHEAD, Orders
from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.sweeps import plan
from vitjax.sweeps.member_programs import MemberPrograms, Values
from vitjax.sweeps.plan import Member
from vitjax.training.ahead.memory import gib, limit_bytes, peak_bytes
from vitjax.training.metrics import Metrics
from vitjax.training.placement import sharding, streaming
from vitjax.training.placement.feeds import AtRestFeed, Feed, StreamFeed
from vitjax.training.placement.sharding import replicated
from vitjax.training.schedule import Schedule
from vitjax.training.setup import assemble, make_recipe, make_schedule
from vitjax.training.step import Recipe, aot

_USABLE = 0.9  # share of a device's memory
_UNLIMITED = 2**31 - 1  # MiB


class Group:
    """Members that differ in values alone, padded to a multiple of the devices."""

    def __init__(
        self, members: Sequence[Member], dataset: Dataset, mesh: Mesh, vectorize: bool | None = None
    ):
        """`mesh` has the axis `member`; `vectorize` is that of MemberPrograms.

        Raises UserError where a member does not fit the data.
        """
        self.members = list(members)
        self.config = self.members[0].config  # but for the values
        streamed = streaming.streams(self.config.data.stream, dataset, mesh)
        self.setup = assemble(self.config, dataset, mesh, streamed)
        self.size = -(-len(self.members) // mesh.size) * mesh.size
        values = plan.values(self.members, dataset)
        self.programs = MemberPrograms(
            self._build, self.config.seed, "seed" in values, mesh, vectorize
        )
        by_member = self.programs.sharding
        self.places = jax.device_put(np.arange(self.size, dtype=np.int32), by_member)
        self.values: Values = {
            key: jax.device_put(self.padded(column), by_member) for key, column in values.items()
        }

    def padded(self, column: np.ndarray) -> np.ndarray:
        """Repeats the last of [K, ...] up to the group's size."""
        missing = self.size - len(column)
        return np.concatenate([column, np.repeat(column[-1:], missing, axis=0)])

    def planned(self) -> dict[str, Any]:
        """Returns what plan.json says of the members."""
        grid = {each.name: dict(each.overrides) for each in self.members}
        return {"config": to_json(self.config), "grid": grid}

    def own_places(self) -> list[int]:
        """Returns the members whose folders this process writes: those on its devices."""
        shards = self.places.addressable_shards
        places = sorted(int(place) for shard in shards for place in np.asarray(shard.data))
        return [place for place in places if place < len(self.members)]

    def member_recipe(self, values: Values) -> Recipe:
        """Returns what the member computes that has these values."""
        return self._build(values)[0]

    def _build(self, values: Values) -> tuple[Recipe, Schedule]:
        """Returns the recipe of the member that has these (traced) values."""
        config = plan.with_values(self.config, values)
        dataset, recipe = self.setup.dataset, self.setup.recipe
        rate = make_schedule(config, recipe.num_examples)
        return make_recipe(config, dataset, recipe.mean, recipe.std, rate), rate

    @functools.cached_property
    def feed(self) -> Feed:
        """What brings the batches: all members see the same, unless their seeds differ."""
        programs, setup = self.programs, self.setup
        if setup.streams:
            each = jax.tree.map(lambda x: np.zeros(self.size, x.dtype), Metrics.zero())
            zero = jax.device_put(each, programs.sharding)
            evaluate = programs.evaluate_chunk
            return StreamFeed(setup, self._orders(), programs.chunks, evaluate, zero)
        on_each = replicated(programs.mesh)
        return AtRestFeed(
            {name: on_device.put(split, on_each) for name, split in setup.dataset.splits.items()},
            lambda epoch: programs.epoch_order(self.values, epoch),
            setup.recipe.steps_per_epoch,
            programs.evaluate,
        )

    def _orders(self) -> Orders:
        """Returns the order of the batches on the host."""
        options = self.setup.recipe.order_options
        if not self.programs.seeded:
            return EpochOrders(self.config.seed, *options)
        seeds = sharding.gather(self.values["seed"])
        known = {int(seed): EpochOrders(int(seed), *options) for seed in seeds}
        return Together([known[int(seed)] for seed in seeds])

    @functools.cached_property
    def abstract_states(self) -> Any:
        """Shapes and placement of the members' states."""
        shapes = jax.eval_shape(self.programs.init, self.values, self.places)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.programs.sharding),
            shapes,
        )

    @functools.cached_property
    def compiled(self) -> tuple[Any, Any]:
        """The programs of training and of validation, compiled."""
        step, active = np.int32(0), np.zeros(self.size, bool)
        args = self.values, self.abstract_states, active, self.feed.example(), step, step
        train = self.programs.train_chunk if self.setup.streams else self.programs.train
        validate = self.feed.evaluation("valid", (self.values, self.abstract_states))
        train_steps, evaluate = aot(self.setup.recipe, (train, args), validate)
        return train_steps, evaluate

    @functools.cached_property
    def predicted_bytes(self) -> int:
        """What training and validation take of each device's memory at their peak."""
        states = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.abstract_states))
        best = 2 * states // self.programs.mesh.size  # the copies of the best epoch, old and new
        return max(map(peak_bytes, self.compiled)) + best + self._bytes_of_other_data()

    def _bytes_of_other_data(self) -> int:
        """Returns what lies on a device besides what a call of training takes."""
        if self.setup.streams:
            chunk = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.feed.example()))
            return CHUNKS_AHEAD * chunk
        return sum(
            bytes_of(split) + split.labels.nbytes
            for name, split in self.setup.dataset.splits.items()
            if name != "train"
        )


def memory_for_members(mesh: Mesh) -> int:
    """Returns the bytes that members may take of each device: what the least process can give."""
    limit = limit_bytes(mesh.local_devices[0])
    mebibytes = _UNLIMITED if limit is None else int(_USABLE * limit) >> 20
    return min(processes.all_of(mebibytes)) << 20


def split_for_memory(
    members: Sequence[Member],
    dataset: Dataset,
    mesh: Mesh,
    limit: int,
    vectorize: bool | None = None,
) -> list[Group]:
    """Returns groups of the members that each need at most `limit` bytes of a device.

    Raises UserError where one member a device needs more.
    """
    each = len(members)
    while True:
        first = Group(members[:each], dataset, mesh, vectorize)
        need = first.predicted_bytes
        if need <= limit:
            rest = range(each, len(members), each)
            others = (Group(members[i : i + each], dataset, mesh, vectorize) for i in rest)
            return [first, *others]
        if each <= mesh.size:
            raise UserError(
                f"member {members[0].name} needs {gib(need)} GiB of a device, of which "
                f"{gib(limit)} are to be had; lower config.data.batch_size "
                "or config.data.eval_batch_size"
            )
        fitting = max(int(each * limit / need) // mesh.size, 1) * mesh.size
        each = min(fitting, (each - 1) // mesh.size * mesh.size)
