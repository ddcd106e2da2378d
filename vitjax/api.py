"""The Python API: configs, runs and sweeps, as the commands make and use them."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import jax
import numpy as np
from ml_collections import ConfigDict

from vitjax import config_file, files, models
from vitjax.compile_cache import use_compile_cache
from vitjax.config import check_keys, to_json, use_model
from vitjax.errors import UserError
from vitjax.inference.compare_runs import Column, compare_sides
from vitjax.inference.evaluation import evaluate
from vitjax.inference.evaluation_data import DataPlace
from vitjax.inference.predictor import (
    Prediction,
    Predictor,
    load_predictor,
    most_probable,
)
from vitjax.reporting.comparison import Comparison
from vitjax.reporting.page import html_table, make_folder
from vitjax.results import Epoch, Evaluation, History
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.saved_config import read_config
from vitjax.text import harmless, one_line

if TYPE_CHECKING:
    from vitjax.serving.exporting import Export, Format
    from vitjax.sweeps.plan import Grid

Say = Callable[[str], None]


def say_at_once(line: str) -> None:
    """Prints a line, with the names in it escaped."""
    print(harmless(line), flush=True)


def get_config(name: str = "vit_digits", **options: Any) -> ConfigDict:
    """Returns the config of a file, FILE[:ARG], or of one that comes with vitjax by its name.

    get_config("vit_cifar100:4p4l", **{"optim.learning_rate": 1e-3}) changes an option of it. Raises
    UserError for what is not there, with the nearest names.
    """
    config = config_file.load_config(name)
    if "model_name" in options:
        use_model(config, options.pop("model_name"))
    check_keys(options, config)
    for key, value in options.items():
        try:
            config.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            raise UserError(f"{key}={value!r} does not fit config.{key}: {error}") from error
    return config


def train(
    config: ConfigDict, workdir: str | Path, *, say: Say = say_at_once, command: str = ""
) -> "Run":
    """Trains as `config` says, or goes on, in the folder `workdir`; returns the finished run.

    `say` gets what happens, a line each; `command` is kept in config.json. Raises UserError for
    what does not fit, Diverged (a UserError) where numbers stop being finite, and Interrupted after
    Ctrl-C, with all saved: the same call goes on.
    """
    from vitjax.training.run import train_and_evaluate

    _check_config(config)
    folder = files.folder_to_write(workdir)
    use_compile_cache()
    train_and_evaluate(config, folder, say, command)
    return Run(workdir)


def load(workdir: str | Path, step: str | int = "best") -> "Run":
    """Returns the run of a folder, with its model at the "best" or "last" checkpoint, or step N.

    Raises UserError where the folder holds no run.
    """
    return Run(workdir, step)


def train_grid(
    config: ConfigDict,
    grid: "Grid",
    workdir: str | Path,
    *,
    halve: Sequence[int] = (),
    memory_gib: float = 0.0,
    say: Say = say_at_once,
    words: Sequence[str] = (),
) -> "Runs":
    """Trains every combination of a grid, or goes on, in the folder `workdir`; the best run first.

    `grid` maps options to their values, {"optim.learning_rate": [1e-3, 1e-2], "seed": [0, 1]}, or
    is such text as --grid takes, or a sequence of {option: value} for each run. After the epochs
    `halve` the worse half is dropped; `memory_gib` is what runs may take of each device, 0: what
    it has. `words` of a command line are kept in the folders. Raises what `train` raises.
    """
    from vitjax.sweeps import grid as sweeps
    from vitjax.sweeps.plan import overrides_of

    _check_config(config)
    folder = files.folder_to_write(workdir)
    if not 0 <= memory_gib < math.inf:
        raise UserError(f"--memory_gib={memory_gib} should be finite and at least 0")
    use_compile_cache()
    ranked = sweeps.train_grid(
        config,
        overrides_of(grid, config),
        folder,
        halve=halve,
        max_bytes=int(memory_gib * 2**30),
        words=words,
        published=_published,
        say=say,
    )
    runs = Runs(ranked, folder, config.select_by)
    if jax.process_index() == 0:
        runs.write_pictures()
    return runs


def _check_config(config: Any) -> None:
    """Raises UserError for what is no config, as the name of one."""
    if not isinstance(config, ConfigDict):
        raise UserError(f"{config!r} is no config; vitjax.get_config(NAME) gives one by its name")


def _published(config: ConfigDict) -> float | None:
    """Returns the accuracy on test, in [0, 1], that is published for a run of this config."""
    from vitjax.published.matching import row_of

    row = row_of(to_json(config))
    percent = row.accuracies.get("test_acc") if row else None
    return None if percent is None else percent / 100


class Run:
    """A run's folder: what it measured, and its model, which is read when it is first used."""

    def __init__(self, workdir: str | Path, step: str | int = "best"):
        self.workdir = files.local_folder(workdir)
        self._folder, self._step = RunFolder(self.workdir), step
        self.config = read_config(self._folder)

    def __repr__(self) -> str:
        accuracy = "not finished" if self.accuracy is None else f"accuracy {self.accuracy:.4f}"
        return f"Run({str(self.workdir)!r}: {self.config.model_name}, {accuracy})"

    def _repr_html_(self) -> str:
        found = self._folder.evaluation() or {}
        shown = {"workdir": str(self.workdir), "model": self.config.model_name}
        shown["data"] = self._folder.dataset()["name"]
        shown["parameters"] = f"{self.num_params:,}"
        shown["epochs"] = f"{len(self.history)} of {self.config.num_epochs}"
        if found:
            shown["test accuracy"] = f"{found['accuracy']:.2%} (epoch {found['epoch']})"
        return html_table("Run", (), list(shown.items()), kind="words")

    @property
    def history(self) -> History:
        """The epochs so far."""
        return History(Epoch(**line) for line in self._folder.metrics())

    @property
    def accuracy(self) -> float | None:
        """The accuracy on test of the epoch that is best on validation; None while it trains."""
        result = self._folder.evaluation()
        return None if result is None else result["accuracy"]

    @property
    def num_params(self) -> int:
        """How many parameters the model has."""
        result = self._folder.evaluation()  # needs no weights to be read
        return result["num_params"] if result else models.num_params(self.variables["params"])

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The model with all that comes before and after it, at the checkpoint asked for."""
        return load_predictor(self.workdir, self._step)

    @property
    def model(self) -> Any:
        """The Flax module."""
        return self.predictor.model

    @property
    def variables(self) -> Mapping[str, Any]:
        """What `model.apply` takes: params, averaged where the run kept averages, and others."""
        return self.predictor.variables

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes [K]."""
        return self.predictor.class_names

    def predict(self, images: Iterable[Any], top: int = 5) -> list[list[Prediction]]:
        """Returns the `top` classes of each image, the most probable first.

        Images are paths, PIL images or uint8 arrays [H, W] or [H, W, C], each of any size. Raises
        UserError for what is no image, and for one image that is not in a list.
        """
        if self.predictor.is_one_image(images):
            raise UserError("predict takes a list of images, not one; put it in one: [image]")
        fitted = [self._fitted(image) for image in images]
        if not fitted:
            return []
        probabilities = self.predictor.predict(np.stack(fitted))
        return [most_probable(row, self.class_names, top) for row in probabilities]

    def _fitted(self, image: Any) -> np.ndarray:
        try:
            return self.predictor.fit(image)
        except UserError:
            raise
        except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
            raise UserError(f"{image} cannot be read as an image: {one_line(error)}") from error

    def evaluate(
        self,
        split: str = "test",
        *,
        data: str = "",
        data_dir: str = "",
        image_root: str = "",
        label_column: str = "",
        corruptions: bool = False,
        say: Say = say_at_once,
    ) -> Evaluation:
        """Measures the best epoch on a split of the run's data, or of other data of its classes.

        `data` names another set as config.data.name does, the others say where data lie if not
        where they lay. Writes eval.json and predictions.npz, and with `corruptions` measures on
        corrupted images as well and writes corruptions.json. Raises UserError for what is not
        there, or where test is asked for before training has ended.
        """
        place = DataPlace(data, data_dir, image_root, label_column)
        return Evaluation.from_json(evaluate(self.workdir, split, place, say, corruptions))

    def export(
        self, out: str | Path, format: "Format" = "stablehlo", *, say: Say = say_at_once
    ) -> "Export":
        """Writes the model for other programs, and compares what it gives there with it.

        "stablehlo" for JAX and "onnx" compute all from uint8 images on. "safetensors" has the
        weights, "hub" a model card besides; "transformers", "timm" and "vit_pytorch" have them
        under these libraries' names. Raises UserError for what cannot be written, or would give
        other logits.
        """
        from vitjax.serving.exporting import export

        return export(self.predictor, out, format, say)

    def report(
        self,
        *,
        num_mistakes: int = 24,
        num_maps: int = 6,
        images: Sequence[str] = (),
        data_dir: str = "",
        image_root: str = "",
        say: Say = say_at_once,
    ) -> "Report":
        """Writes report/index.html, one page on all that the run learned; returns it.

        Attention is shown on `num_maps` images, or on those called `images`, as the ids of
        predictions.npz. Raises UserError for what is not there.
        """
        from vitjax.inference.report_data import report_data
        from vitjax.reporting.predictions import rights_and_mistakes
        from vitjax.reporting.report_page import write_report

        place = DataPlace(data_dir=data_dir, image_root=image_root)
        data = report_data(self.workdir, place, say)
        predictions = data.predictions
        chosen = predictions.find(images) if images else rights_and_mistakes(predictions, num_maps)
        return Report(write_report(self.workdir / "report", data, num_mistakes, chosen))

    def card(self) -> Path:
        """Writes report/README.md, a model card for the Hugging Face hub; returns its path.

        Raises UserError where the run is damaged or cannot be written to.
        """
        from vitjax.inference.report_data import card

        path = self.workdir / "report" / "README.md"
        make_folder(path.parent)
        files.write(path, card(self.workdir))
        return path

    def compare(
        self,
        other: "Run | Sequence[Run]",
        *,
        metadata: str | Path = "",
        column: str = "",
        key: str = "",
        say: Say = say_at_once,
    ) -> Comparison:
        """Compares another run, or several seeds of one, with this one on the same test images.

        `column` of the CSV file `metadata` groups the images, which its column `key` names. Raises
        UserError where the runs are not of the same images.
        """
        others = [other] if isinstance(other, Run) else list(other)
        by = Column(Path(metadata), column, key) if column else None
        sides = [[self.workdir], [run.workdir for run in others]]
        return compare_sides(sides, by, say)[0]


class Report:
    """A page on a run."""

    def __init__(self, path: Path):
        self.path = path  # of index.html

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        page = escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" width="100%" height="800" frameborder="0"></iframe>'


class Runs(Sequence[Run]):
    """The runs of a sweep, the best on validation first."""

    def __init__(self, ranked: Sequence[Mapping[str, Any]], workdir: Path, select_by: str):
        """`ranked` are the members as sweep.json holds them."""
        self.ranked, self.workdir, self._select_by = ranked, workdir, select_by

    @overload
    def __getitem__(self, place: int) -> Run: ...

    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...

    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return Run(self.workdir / "runs" / self.ranked[place]["name"])

    def __len__(self) -> int:
        return len(self.ranked)

    def table(self) -> str:
        """Returns the ranking and, where seeds vary, the means over them, for the terminal."""
        from vitjax.sweeps.ranking import table

        return table(self.ranked, self._select_by)

    def pictures(self) -> list[Any]:
        """Returns the sweep's pictures, which show in a notebook: curves, heatmap, seeds."""
        from vitjax.reporting.sweep_figures import MemberResult, sweep_pictures
        from vitjax.sweeps.ranking import pictured

        members = pictured(self.ranked, self.workdir)
        return sweep_pictures([MemberResult(**member) for member in members])

    def write_pictures(self) -> list[Path]:
        """Writes the pictures beside sweep.json; returns their paths."""
        from vitjax.reporting.drawing import write_png

        paths = []
        for picture in self.pictures():
            paths.append(self.workdir / f"{picture.name}.png")
            write_png(paths[-1], picture.figure)
        return paths

    def files(self) -> str:
        """Returns what lies where, in words."""
        known = ["best", "best.txt", "sweep.json", "sweep.csv"]
        found = [name for name in known if (self.workdir / name).exists()]
        *names, last = ["runs/", *found, *(path.name for path in self.workdir.glob("*.png"))]
        return f"{', '.join(names)} and {last} lie in {self.workdir}"

    def __repr__(self) -> str:
        return f"Runs({len(self)} in {str(self.workdir)!r})"

    def _repr_html_(self) -> str:
        from html import escape

        shown = "".join(picture._repr_html_() for picture in self.pictures())
        return f"<pre>{escape(self.table())}</pre>{shown}"
