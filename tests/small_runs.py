"""Runs of seconds, for tests of training and of sweeps."""

from vitjax.config import default


def small(**changes):
    """A run of seconds on 128 digits, with dropout, augmentation and a last, smaller batch."""
    config = default("vit")
    config.num_epochs = 3
    config.model.update(patch_size=4, hidden_dim=8, num_layers=1, mlp_dim=16, num_heads=2)
    config.model.dropout_rate = 0.1
    config.data.update(name="digits", max_examples=120, batch_size=32)
    config.data.augment.crop_padding = 1
    config.optim.learning_rate = 1e-2
    config.update_from_flattened_dict(changes)
    return config


def quiet(line):
    del line


def epoch_line(epoch, steps=4, **changes):
    """A line of metrics.jsonl."""
    measured = {"train_loss": 1 / epoch, "train_accuracy": 0.5}
    measured |= {"valid_loss": 2 / epoch, "valid_accuracy": 0.25}
    clock = {"images_per_second": 100.0, "seconds": 2.0}
    return {"step": steps * epoch, "epoch": epoch, **measured, "lr": 1e-3, **clock, **changes}
