"""What is said of a run's epochs."""

from made_up import line

from vitjax.reporting.training_curves import training_section


def test_one_epoch_is_no_course():
    said = training_section([line(1)], best_epoch=1).items[0].alt
    assert said == "Loss over 1 epoch: train 1, valid 2. Epoch 1 was evaluated."
