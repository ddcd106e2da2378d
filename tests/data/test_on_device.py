"""A split on the device gives its images back."""

import jax
import numpy as np
import pytest

from vitjax.data import on_device
from vitjax.data.dataset import Dataset, Split

ON_ONE = jax.sharding.SingleDeviceSharding(jax.devices()[0])


def split(*shape):
    images = np.random.RandomState(0).randint(0, 256, shape, np.uint8)
    return Split(images, np.arange(len(images), dtype=np.int32), np.arange(len(images)).astype(str))


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (5, 7, 3), (16, 24, 1), (32, 32, 3)])
def test_gives_the_images_that_were_put(image_shape):
    stored = split(6, *image_shape)
    data = on_device.put(stored, ON_ONE)
    indices = np.array([4, 0, 5, 5])
    np.testing.assert_array_equal(
        jax.jit(lambda i: data.take(i).images())(indices), stored.images[indices]
    )
    np.testing.assert_array_equal(data.labels, stored.labels)


def test_an_index_past_the_end_gives_the_last():
    stored = split(3, 4, 4, 1)
    images = on_device.put(stored, ON_ONE).take(np.array([7])).images()
    np.testing.assert_array_equal(images[0], stored.images[2])


def test_abstract_shapes_are_those_of_what_is_put():
    put, abstract = (
        on_device.put(split(6, 5, 7, 3), ON_ONE),
        on_device.abstract_images((6,), (5, 7, 3)),
    )
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), each) for each in (put, abstract)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("image_shape", "rows"),
    [((8, 8, 1), 4), ((20, 20, 1), 4), ((28, 28, 1), 8), ((28, 28, 3), 24), ((32, 32, 3), 24)],
)
def test_an_image_is_whole_tiles_of_a_tpu(image_shape, rows):
    assert on_device.abstract_images((), image_shape).pixels.shape == (rows, 128)


def test_the_bytes_of_a_set_are_those_that_lie_on_the_device():
    stored = split(6, 28, 28, 1)
    dataset = Dataset("digits", ("one",), {"train": stored, "test": split(3, 28, 28, 1)})
    assert on_device.bytes_of(stored) == on_device.put(stored, ON_ONE).pixels.nbytes == 6 * 1024
    assert on_device.num_bytes(dataset) == 9 * 1024
