"""Every option of a run with its default and unit; a file in configs/ states the differences."""

import dataclasses

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from vitjax import models
from vitjax.data.augment import Augmentation


def default(model_name: str = "vit") -> ConfigDict:
    """Returns defaults for all options, with the options of the model `model_name`."""
    config = ConfigDict()
    config.seed = 0
    config.num_epochs = 10
    config.steps_per_call = 0  # steps per compiled call; 0: two seconds' worth, at most an epoch
    config.dtype = "auto"  # of the computation; auto: bfloat16 on TPU and GPUs from Ampere on
    config.select_by = "accuracy"  # accuracy | loss: what makes a validation result the best
    config.patience = 0  # stop after so many epochs without a better validation; 0: never
    config.model_name = model_name
    config.model = _model_options(model_name)
    config.data = _data_options()
    config.loss = ConfigDict()
    config.loss.name = "cross_entropy"  # cross_entropy | mse
    config.loss.label_smoothing = 0.0
    # uniform | balanced | a tuple of numbers. As in torch a batch's losses are divided by the sum
    # of its labels' weights, and where mixup or CutMix mixes labels by its number of examples.
    config.loss.class_weights = placeholder(object)
    config.loss.class_weights = "uniform"
    config.distill = ConfigDict()  # learn from a run's answers besides the labels
    config.distill.workdir = ""  # folder of that run, which is finished; "": none
    config.distill.weight = 0.5  # of its answers; the labels have the rest
    config.distill.temperature = 2.0  # softens both answers
    config.optim = _optimizer_options()
    config.finetune = _finetune_options()
    config.mesh = ConfigDict()  # how a run's devices share its work; data * fsdp is their number
    config.mesh.data = 0  # devices that share batches alone; 0: all that fsdp leaves
    config.mesh.fsdp = 1  # that share large parameters and the optimiser's state as well
    config.schedule = _schedule_options()
    config.log = ConfigDict()  # besides metrics.jsonl
    config.log.tensorboard = False  # event files in the run's folder; needs the extra [log]
    config.log.wandb = False  # Weights & Biases, set up by its own variables; extra [wandb]
    return config.lock()  # so that a misspelt option is an error


def _model_options(model_name: str) -> ConfigDict:
    options = models.defaults(model_name)
    return ConfigDict({k: placeholder(int) if v is None else v for k, v in options.items()})


def _data_options() -> ConfigDict:
    data = ConfigDict()
    data.name = "digits"  # digits, folder, csv, npz, galaxy_zoo2 or the name of a TFDS set
    data.data_dir = ""  # where the data lies; "": TFDS's own folder
    data.image_root = ""  # folder that a CSV's paths start from, or .zip of galaxies; "": the CSV's
    data.label_column = "label"  # of a CSV, or another label of a TFDS set; label: the usual one
    data.image_size = 0  # pixels, square; 0: as stored
    data.channels = 0  # 1 (gray) or 3 (RGB); 0: as stored
    data.fit = "resize"  # resize | center_crop: how an image becomes image_size
    data.input_size = 0  # pixels, what the model sees, resized on the device; 0: image_size
    data.max_examples = 0  # read only so many of each split; 0: all
    data.valid_fraction = 0.1  # of train, where the set has no validation split
    data.split_seed = 0  # of that carving
    data.stream = "auto"  # always: bring batches to the devices; never; auto: if not all fit there
    data.num_workers = 0  # processes that read a stream; 0: a thread for each core
    data.cache = ""  # folder for decoded images, mapped into memory by all runs; "": none
    data.batch_size = 128  # images, over all devices
    data.eval_batch_size = 256  # images, over all devices
    data.drop_remainder = False  # drop the last, smaller batch of an epoch
    data.mean = ()  # per channel, of pixels in [0, 1]; (): the train split's
    data.std = ()
    data.augment = ConfigDict(dataclasses.asdict(Augmentation()))
    return data


def _optimizer_options() -> ConfigDict:
    options = ConfigDict()
    options.name = "adamw"  # adam adamw sgd adadelta rmsprop lion lamb muon
    options.learning_rate = 1e-3
    options.weight_decay = 0.0  # L2 in the gradient; beside it for adamw, lion, lamb, muon
    options.decay_mask = "all"  # all | kernels: which parameters decay
    options.clip_norm = 0.0  # global norm that gradients are clipped to; 0: no clipping
    options.accumulation_steps = 1  # micro-batches that a batch is cut into
    options.skip_nonfinite = 0  # steps in a row to leave out where a number is NaN or infinite
    options.ema_decay = 0.0  # of averaged parameters, used in evaluation; 0: none
    for name in ("alpha", "b1", "b2", "eps", "momentum", "rho"):  # empty: the optimiser's default
        options[name] = placeholder(float)
    options.nesterov = placeholder(bool)
    return options


def _finetune_options() -> ConfigDict:
    options = ConfigDict()
    options.weights = ""  # file, folder, name of the catalogue or hub:...; "": initialisers
    options.allow_pickle = False  # read torch's pickles too, which can hold code: arrays alone
    options.train_only = ""  # regular expression of the paths that learn, such as head; "": all
    options.layer_decay = 1.0  # factor of the learning rate from each block to the one below it
    options.head_factor = 1.0  # of the learning rate, for the head
    return options


def _schedule_options() -> ConfigDict:
    schedule = ConfigDict()
    schedule.name = "constant"  # constant | step | cosine | linear
    schedule.warmup_epochs = 0.0
    schedule.warmup_factor = 0.0  # of learning_rate, where the warm-up starts
    schedule.end_factor = 0.0  # of learning_rate, where cosine and linear end
    schedule.step_size = 1  # epochs between the steps of `step`
    schedule.gamma = 0.1  # what each step multiplies by
    schedule.per_epoch = False  # change the rate between epochs only
    return schedule


def debug(config: ConfigDict) -> ConfigDict:
    """Shrinks a run to seconds: 2 epochs, 2 layers, 256 examples of each split, small batches.

    A model of stages keeps one block of each, a hidden layer 64 units. Published weights do not fit
    what is left, and images are not enlarged beyond 64 pixels.
    """
    config.num_epochs = 2
    config.schedule.warmup_epochs = min(config.schedule.warmup_epochs, 1.0)
    if "stage_sizes" in config.model:
        config.model.stage_sizes = (1,) * len(config.model.stage_sizes)
    else:
        config.model.num_layers = min(config.model.num_layers, 2)
    if "hidden_dims" in config.model:
        config.model.hidden_dims = tuple(min(width, 64) for width in config.model.hidden_dims)
    config.finetune.weights = ""
    config.data.input_size = min(config.data.input_size, 64)
    config.data.max_examples = 256
    if config.data.valid_fraction:  # enough for one image of each of 100 classes
        config.data.valid_fraction = max(config.data.valid_fraction, 0.25)
    config.data.batch_size = min(config.data.batch_size, 16)
    config.data.eval_batch_size = min(config.data.eval_batch_size, 32)
    return config


def use_model(config: ConfigDict, model_name: str) -> None:
    """Changes the model, keeping the options that both models have."""
    if model_name == config.model_name:
        return
    old, before = config.model, models.defaults(config.model_name)
    new = _model_options(model_name)
    for option, value in models.defaults(model_name).items():
        # Where the defaults differ (a Mixer's pooling), a model keeps its own.
        if option in old and before[option] == value:
            new[option] = old[option]
    with config.unlocked():
        config.model_name = model_name
        config.model = new
