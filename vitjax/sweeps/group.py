"""Members of a sweep that train together: their programs, their data, and the memory it takes."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from vitjax import processes
from vitjax.data import on_device
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.sweeps import plan
from vitjax.sweeps.member_programs import MemberPrograms, Values
from vitjax.sweeps.plan import Member
from vitjax.training.memory import gib, limit_bytes, peak_bytes
from vitjax.training.schedule import Schedule
from vitjax.training.setup import assemble, make_recipe, make_schedule
from vitjax.training.sharding import replicated
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
        self.setup = assemble(self.config, dataset, mesh)
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
    def data(self) -> dict[str, on_device.DeviceSplit]:
        """The splits, whole on each device."""
        on_each = replicated(self.programs.mesh)
        splits = self.setup.dataset.splits
        return {name: on_device.put(split, on_each) for name, split in splits.items()}

    @functools.cached_property
    def abstract_states(self) -> Any:
        """Shapes and placement of the members' states."""
        shapes = jax.eval_shape(self.programs.init, self.values, self.places)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.programs.sharding),
            shapes,
        )

    @functools.cached_property
    def train_steps(self) -> Any:
        """The training program, compiled."""
        epoch, active = np.int32(0), np.zeros(self.size, bool)
        orders = jax.eval_shape(self.programs.epoch_order, self.values, epoch)
        args = self.values, self.abstract_states, active, self.data["train"], orders, epoch, epoch
        return aot(self.setup.recipe, (self.programs.train, args))[0]

    @functools.cached_property
    def predicted_bytes(self) -> int:
        """What training takes of each device's memory at its peak."""
        states = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.abstract_states))
        best = 2 * states // self.programs.mesh.size  # the copies of the best epoch, old and new
        others = sum(
            split.images.nbytes + split.labels.nbytes
            for name, split in self.setup.dataset.splits.items()
            if name != "train"
        )
        return peak_bytes(self.train_steps) + best + others


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
                f"{gib(limit)} are to be had; lower config.data.batch_size"
            )
        fitting = max(int(each * limit / need) // mesh.size, 1) * mesh.size
        each = min(fitting, (each - 1) // mesh.size * mesh.size)
