"""A model and data small enough to follow by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from vitjax.data.augment import Augmentation
from vitjax.data.dataset import Split
from vitjax.data.on_device import AtRest, put
from vitjax.training import losses
from vitjax.training.placement.sharding import make_mesh, replicated
from vitjax.training.step import Recipe

CLASSES = 3
WEIGHTS = np.array([1.0, 2.0, 0.5], np.float32)
MESH = make_mesh(jax.devices()[:1])
SEED = np.uint32(0)


class Softmax(nn.Module):
    """Multinomial regression: logits = pixels @ kernel + bias."""

    @nn.compact
    def __call__(self, images, *, train=False):
        del train
        return nn.Dense(CLASSES)(images.reshape(len(images), -1))


def data(count=13):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (count, 2, 2, 1), np.uint8)
    labels = random.randint(0, CLASSES, count).astype(np.int32)
    return put(Split(images, labels, np.arange(count).astype(str)), replicated(MESH))


def batches(order, count=13):
    return AtRest(data(count), order, np.int32(0))


def recipe(model=None, **changes):
    options = dict(
        model=model or Softmax(),
        tx=optax.sgd(0.1),
        loss=losses.make_loss("cross_entropy", jnp.asarray(WEIGHTS), 0.0),
        augmentation=Augmentation(),
        mean=(0.5,),
        std=(0.25,),
        image_shape=(2, 2, 1),
        num_classes=CLASSES,
        num_examples=13,
        batch_size=8,
        eval_batch_size=5,
    )
    return Recipe(**options | changes)
