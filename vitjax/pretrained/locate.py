"""Where weights come from: a file, a folder, a run, a name of the catalogue, the Hugging Face hub.

The only importer of huggingface_hub.
"""

import contextlib
import hashlib
import os
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from vitjax import files
from vitjax.data.readers.downloads import unreachable
from vitjax.errors import UserError
from vitjax.models.names import nearest
from vitjax.pretrained import weight_files
from vitjax.pretrained.catalog import CATALOG, Entry
from vitjax.runs.weights import is_run
from vitjax.text import printable

HUB = "hub:"
_DEFAULT_FILE, _CONFIG = "model.safetensors", "config.json"
_OTHERWISE = (
    "give a file with --config.finetune.weights=FILE, or --config.finetune.weights='' for random "
    "weights"
)


class Found(NamedTuple):
    """Weights on this machine."""

    path: Path
    entry: Entry | None = None  # of the catalogue
    config: Path | None = None  # a config.json beside them, of whatever


def find(source: str) -> Found:
    """Returns where the weights of `source` lie here, after a download if need be.

    Raises UserError where there are none, or where they cannot be fetched.
    """
    if source.startswith(HUB):
        repo, file = _hub_place(source)
        return Found(fetch(repo, file), config=_config_of_hub(repo, file))
    if path := _on_disk(source):
        config = path.parent / _CONFIG
        return Found(path, config=config if config.is_file() else None)
    if source not in CATALOG:
        raise UserError(
            f"config.finetune.weights={source!r} is neither a file, nor a folder, nor a name of "
            f"the catalogue{nearest(source, CATALOG)}; list it with python -m vitjax.pretrained, "
            f"or name a file of the hub as {HUB}OWNER/REPO/FILE"
        )
    entry = CATALOG[source]
    path = fetch(entry.repo, entry.file)
    _check_sha256(path, entry)
    return Found(path, entry)


def _on_disk(source: str) -> Path | None:
    """Returns a run's folder, a file, or the one file of weights in a folder; None without any."""
    path = Path(os.path.expanduser(source))  # Path's own raises for an unknown user
    try:
        if not path.exists():
            return None
        return _in_folder(path) if path.is_dir() and not is_run(path) else path
    except OSError as error:  # such as a name that is too long
        raise UserError(
            f"config.finetune.weights={source!r} cannot be read: {error.strerror}; change it"
        ) from error


def _hub_place(source: str) -> tuple[str, str]:
    """Returns (repository, file) of hub:OWNER/REPO or hub:OWNER/REPO/FILE."""
    owner, _, rest = source.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not owner or not name:
        raise UserError(
            f"config.finetune.weights={source!r} should be {HUB}OWNER/REPO or {HUB}OWNER/REPO/FILE"
        )
    return f"{owner}/{name}", file or _DEFAULT_FILE


def _config_of_hub(repo: str, file: str) -> Path | None:
    """Returns the config.json beside a file of the hub; None where there is none to be had."""
    with contextlib.suppress(UserError):
        return fetch(repo, str(PurePosixPath(file).with_name(_CONFIG)))
    return None


def _in_folder(folder: Path) -> Path:
    """Returns the one file of weights in a folder; the safe kinds come first."""
    preferred = folder / _DEFAULT_FILE
    if preferred.is_file():
        return preferred
    if index := next(iter(files.visible(folder, "*.index.json")), None):
        raise UserError(
            f"{folder} has weights in parts ({printable(index.name)}), expected one file; save "
            "them with a larger max_shard_size, or change config.finetune.weights"
        )
    for suffixes in (weight_files.SAFE, weight_files.PICKLES):
        found = [path for path in files.visible(folder) if path.suffix in suffixes]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(printable(path.name) for path in found[:8])
            raise UserError(
                f"{folder} has {len(found)} files of weights ({names}), expected one; name it in "
                "config.finetune.weights"
            )
    kinds = ", ".join(weight_files.SAFE + weight_files.PICKLES)
    raise UserError(
        f"{folder} has no file of weights ({kinds}) and is no run of vitjax; change "
        "config.finetune.weights"
    )


def fetch(repo: str, file: str) -> Path:
    """Returns a file of the hub from the cache, or downloads it."""
    try:
        import huggingface_hub
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise UserError(
            f"{HUB}{repo}/{file} needs: pip install '.[pretrained]' in the checkout; or "
            f"{_OTHERWISE}"
        ) from error
    huggingface_hub.logging.set_verbosity_error()  # its retries, a line each
    try:
        return Path(huggingface_hub.hf_hub_download(repo, file, local_files_only=True))
    except LocalEntryNotFoundError:
        reason = _no_way_to_the_hub(huggingface_hub.constants)
    except Exception as error:  # such as a name that the hub could not have
        reason = _first_line(error)
    if not reason:
        try:
            return Path(huggingface_hub.hf_hub_download(repo, file))
        except Exception as error:  # no such file, a closed repository: many types, one advice
            reason = _first_line(error)
    raise UserError(
        f"cannot fetch {repo}/{file} from the Hugging Face hub, and its cache here lacks it "
        f"({reason}); {_OTHERWISE}"
    )


def _no_way_to_the_hub(constants: Any) -> str:
    """Says why the hub cannot be asked; "" if it can. Its own client retries for half a minute."""
    return (
        "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else unreachable([constants.ENDPOINT])
    )


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().split("\n")[0][:160])


def _check_sha256(path: Path, entry: Entry) -> None:
    """Raises UserError unless the file has the sum that the catalogue knows, if any."""
    if entry.sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != entry.sha256:
        raise UserError(
            f"{path} has the sha256 {found}, expected {entry.sha256} for {entry.name}; delete it, "
            "so that it is fetched again"
        )
