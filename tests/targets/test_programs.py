"""The shipped configs' programs for devices that are not here: lowered, and looked through."""

import importlib.util
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vitjax import config_file
from vitjax.benchmarking import compiler_suite
from vitjax.data.on_device import AtRest, abstract_images
from vitjax.targets import chips, hlo
from vitjax.targets.figures import compile_for
from vitjax.targets.products import equations, product_flops
from vitjax.targets.stages import programs
from vitjax.targets.topology import devices_of
from vitjax.training import setup, step
from vitjax.training.ahead.outline import outline
from vitjax.training.placement.sharding import make_mesh

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.py"))
MESH = make_mesh(jax.devices()[:1])
NEEDS_LIBTPU = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install .[tpu]"
)


def work(name):
    """What a config trains, on images that are not there: (recipe, shape of the stored images)."""
    config = config_file.load_config(name)
    if not config.data.mean:
        config.data.update(mean=(0.5,), std=(0.25,))
    known = outline(config.data)
    dataset = known.stand_in()
    rate = setup.make_schedule(config, known.counts["train"])
    mean, std = setup.normalisation(config, dataset)
    return setup.make_recipe(config, dataset, mean, std, rate), known.image_shape


def single_pixels(jaxpr):
    """The gathers of single elements by more than a few indices: slow on every accelerator."""
    for equation in equations(jaxpr):
        if equation.primitive.name == "gather":
            picked = math.prod(equation.params["slice_sizes"])
            many = math.prod(equation.outvars[0].aval.shape) // picked
            if picked <= 4 and many > 10_000:
                yield str(equation)


def copies(jaxpr, num_bytes):
    """The operations whose results are half as large as the data, or larger."""
    for equation in equations(jaxpr):
        for result in equation.outvars:
            if math.prod(result.aval.shape) * result.aval.dtype.itemsize >= num_bytes / 2:
                yield str(equation)


def prepared(recipe, mesh):
    """The function that makes a batch for the model, as a training step does."""

    def batch_of(split, order, i):
        seed, epoch = jnp.uint32(0), jnp.int32(0)
        gathered = step.gather_batch(mesh, AtRest(split, order, 0), i)
        return step.augment_batch(recipe, mesh, seed, epoch, gathered)

    return batch_of


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_is_made_without_gathers_of_pixels_and_copies_of_the_data(name):
    recipe, stored = work(name)
    data = abstract_images((recipe.num_examples,), stored)
    epoch_order = jax.eval_shape(lambda: step.order_of(recipe, jnp.uint32(0), jnp.int32(0)))
    num_bytes = math.prod(data.pixels.shape)
    jaxpr = jax.make_jaxpr(prepared(recipe, MESH))(data, epoch_order, jnp.int32(0)).jaxpr
    assert list(single_pixels(jaxpr)) == []
    if num_bytes > 100 * recipe.batch_size * math.prod(recipe.image_shape):  # as float32, many
        assert list(copies(jaxpr, num_bytes)) == []


def test_flops_are_those_of_products_and_of_a_loops_body_once():
    def body(i, x):
        image, kernel = jnp.ones((1, 1, 6, 6)), jnp.ones((1, 1, 3, 3))
        return x @ x + jax.lax.conv(image, kernel, (1, 1), "VALID")[0, 0]

    jaxpr = jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 9, body, x))(jnp.ones((4, 4))).jaxpr
    assert product_flops(jaxpr) == 2 * (4 * 4 * 4 + 9 * 16)


def test_gathers_of_pixels_and_copies_of_the_data_are_found():
    images, rows = jnp.zeros((64, 32, 32, 1), jnp.uint8), jnp.zeros((64, 1024), jnp.int32)
    turned = jax.make_jaxpr(jax.vmap(lambda image, rows: image[rows, rows]))(images, rows)
    assert len(list(single_pixels(turned.jaxpr))) == 1
    data = jax.ShapeDtypeStruct((50_000, 784), jnp.uint8)
    assert len(list(copies(jax.make_jaxpr(lambda data: data + 1)(data).jaxpr, 50_000 * 784))) == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_training_and_evaluation_lower_for_every_backend(name):
    recipe, stored = work(f"{name}:debug")
    for function, arguments, *_ in programs(recipe, MESH, stored).values():
        exported = jax.export.export(function, platforms=("cpu", "cuda", "tpu"))(*arguments)
        assert exported.platforms == ("cpu", "cuda", "tpu")


@pytest.fixture
def optimised():
    """Compiles as runs do, not quickly as tests do."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.mark.slow
@NEEDS_LIBTPU
@pytest.mark.parametrize("name", compiler_suite.NAMES)
def test_an_epoch_on_a_tpu_copies_no_data(name, optimised):
    """Neither in a step nor before the first; but a small set may be fetched into VMEM, once."""
    target = chips.parse("v5e")
    mesh = make_mesh(devices_of(target))
    recipe, stored = compiler_suite.work(name, target, mesh, config_file.load_config)
    compiled, _ = compile_for(target, mesh, programs(recipe, mesh, stored)["epoch"])
    num_bytes = recipe.num_examples * math.prod(stored)
    written = {
        operation.text.strip()[:200]: sum(_pixel_bytes(array) for array in operation.results)
        for operation in hlo.read(compiled.as_text()).operations()
    }
    assert [text for text, size in written.items() if size >= num_bytes / 2] == []
    if num_bytes > 10**9:  # nor in parts
        assert sum(written.values()) < num_bytes / 2


@pytest.mark.slow
@NEEDS_LIBTPU
@pytest.mark.parametrize(
    "image_shape", [(8, 8, 1), (20, 20, 1), (28, 28, 1), (28, 28, 3), (80, 80, 3)]
)
def test_a_tpu_gathers_images_of_any_size_without_a_copy_of_all(image_shape, optimised):
    mesh = make_mesh(devices_of(chips.parse("v5e")))
    here = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def darkness(split, order):
        return jax.lax.map(
            lambda indices: split.take(indices).pixels.astype(jnp.float32).sum(), order
        )

    split, order = abstract_images((60_000,), image_shape), jax.ShapeDtypeStruct((9, 64), jnp.int32)
    compiled = jax.jit(darkness, in_shardings=here).lower(split, order).compile()
    written = [
        operation.text.strip()[:200]
        for operation in hlo.read(compiled.as_text()).operations()
        if any(_pixel_bytes(array) > 10**6 for array in operation.results)
    ]
    assert written == []


def _pixel_bytes(array):
    return array.num_bytes if array.dtype == "u8" and not array.on_chip else 0
