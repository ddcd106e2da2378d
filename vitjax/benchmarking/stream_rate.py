"""How fast images are read that do not fit into memory, beside decoding alone, and what it takes.

python -m vitjax.benchmarking.stream_rate FOLDER COUNT is a process of its own, for its memory.
"""

import itertools
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from vitjax.benchmarking.measure import ratio, summary
from vitjax.data.dataset import Split
from vitjax.data.order import EpochOrders
from vitjax.data.readers.image_files import FileImages, ReadOptions
from vitjax.data.stream import Place, Stream
from vitjax.machine.host import num_cores
from vitjax.machine.temporary import temporary_folder
from vitjax.training.placement.sharding import make_mesh, of_chunks

COUNTS = (2_000, 20_000)  # images of an epoch
_SIDE, _CROP = 424, 224  # pixels of a file, as in Galaxy Zoo 2, and of what is cut out of it
_NUM_FILES = 200  # which an epoch's images take in turn
_BATCH_SIZE = 64
_NUM_BATCHES = 30  # of a turn
_WARM_UP = 10  # batches before a turn: as many are read ahead when it ends


def measure_stream(rounds: int) -> list[dict[str, Any]]:
    """Returns for each size of an epoch images/s by a stream and by decoding alone, and memory."""
    with temporary_folder() as folder:
        _draw_files(folder)
        found = {count: [_measure_apart(folder, count) for _ in range(rounds)] for count in COUNTS}
    return [
        {
            "images": count,
            "images_per_second": {
                name: summary([turn[name] for turn in turns]) for name in ("stream", "decoding")
            },
            "share": ratio(
                [turn["stream"] for turn in turns], [turn["decoding"] for turn in turns]
            ),
            "peak_bytes": max(turn["peak_bytes"] for turn in turns),
        }
        for count, turns in found.items()
    ]


def _draw_files(folder: Path) -> None:
    """Writes JPEG files of smooth noise."""
    random = np.random.RandomState(0)
    for i in range(_NUM_FILES):
        coarse = Image.fromarray(random.randint(0, 256, (27, 27, 3), np.uint8))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(
            folder / f"{i}.jpg", quality=90
        )


def _measure_apart(folder: Path, count: int) -> dict[str, float]:
    """Measures one turn in a process of its own."""
    words = [sys.executable, "-m", __name__, str(folder), str(count)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _measure_here(folder: Path, count: int) -> dict[str, float]:
    paths = list(itertools.islice(itertools.cycle(map(str, sorted(folder.iterdir()))), count))
    options = ReadOptions(_CROP, 3, "center_crop")
    images = FileImages(paths, (_CROP, _CROP, 3), options)
    labels = np.zeros(count, np.int32)
    decoding = _decode(images)
    streamed = _stream(Split(images, labels, labels.astype(str)))
    return {"decoding": decoding, "stream": streamed, "peak_bytes": _peak_bytes()}


def _decode(images: FileImages) -> float:
    """Returns images/s of a thread a core that only decodes."""
    start, batches = time.perf_counter(), np.arange(_NUM_BATCHES * _BATCH_SIZE) % len(images)
    with ThreadPoolExecutor(num_cores()) as pool:
        for _ in pool.map(images.__getitem__, batches.reshape(_NUM_BATCHES, _BATCH_SIZE)):
            pass
    return batches.size / (time.perf_counter() - start)


def _stream(split: Split) -> float:
    """Returns images/s of a stream, from the files to a device."""
    orders = EpochOrders(0, len(split), _BATCH_SIZE, drop_remainder=True)
    on_one = of_chunks(make_mesh(jax.devices()[:1]))
    place = Place(on_one, _BATCH_SIZE, (_CROP, _CROP, 3))
    reading = Stream(split, orders, place, 0, 10**9)
    begun = 0
    while begun < _WARM_UP:
        begun = reading.next(lambda: None).stop
    start, done = time.perf_counter(), begun
    while done < begun + _NUM_BATCHES:
        done = reading.next(lambda: None).stop
    seconds = time.perf_counter() - start
    reading.close()
    return (done - begun) * _BATCH_SIZE / seconds


def _peak_bytes() -> int:
    """Returns the most memory that this process has had."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps(_measure_here(Path(sys.argv[1]), int(sys.argv[2]))))
