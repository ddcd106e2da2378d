"""What of a set's archives is at hand, and whether the rest can be fetched.

TFDS itself finds out that there is no network only after more than three minutes of retries.
"""

import contextlib
import json
import threading
import time
import urllib.parse
from pathlib import Path

PROBE_SECONDS = 5.0  # for all hosts together


def manual_dir(downloads: Path, name: str) -> Path:
    """Where archives can be put by hand: downloads/manual/NAME, or TFDS's own downloads/manual.

    MNIST and Fashion-MNIST use the same four file names, so the common folder counts only where
    it exists and holds no folder for this set.
    """
    common = downloads / "manual"
    own = common / name
    return common if common.is_dir() and not own.is_dir() else own


def missing_archives(archives: dict[str, str], downloads: Path, name: str) -> dict[str, str]:
    """Those of `archives` (URL: file name) neither downloaded before nor put there by hand."""
    manual = manual_dir(downloads, name)
    cached: set[str] = set()
    for folder in (downloads, downloads / name):
        for file in folder.glob("*.INFO"):  # TFDS writes one beside each complete download
            if file.with_suffix("").exists():
                with contextlib.suppress(ValueError, AttributeError):  # a damaged one tells nothing
                    cached.update(json.loads(file.read_text()).get("urls", []))
    return {
        url: file_name
        for url, file_name in archives.items()
        if url not in cached and not (manual / file_name).is_file()
    }


def unreachable(urls: list[str]) -> str:
    """Says which hosts of `urls` cannot be reached and why; empty if all can. At most 5 s."""
    first_of = {urllib.parse.urlsplit(url).netloc: url for url in reversed(urls)}
    failures: dict[str, str] = dict.fromkeys(first_of, "no answer")

    def probe(host: str, url: str) -> None:
        """Takes a host from the failures if it answers, else notes why it did not."""

        import requests  # what TFDS downloads with, so proxies and certificates count alike

        try:
            requests.head(url, timeout=PROBE_SECONDS - 1, allow_redirects=False)
            del failures[host]
        except requests.RequestException as error:
            failures[host] = type(error).__name__

    threads = [threading.Thread(target=probe, args=item, daemon=True) for item in first_of.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_SECONDS  # a thread may hang longer in name resolution
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return "; ".join(f"{host} cannot be reached ({failures[host]})" for host in sorted(failures))
