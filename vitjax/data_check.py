"""Reads all images of a config's data once and tells what is wrong with them, or odd."""

import json
from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from vitjax import files
from vitjax.data.duplicates import Place
from vitjax.data.findings import findings
from vitjax.data.inspection import inspect
from vitjax.data.source import listed
from vitjax.errors import UserError
from vitjax.reporting.data_page import findings_page, findings_text
from vitjax.training.setup import load_options

_NOT_OF_LISTING = ("image_size", "channels", "fit")  # what images are made to


def check_data(
    config: ConfigDict,
    json_file: Path | None = None,
    html_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Returns whether a run could read all images; says what was found, and writes it if asked.

    Images are looked at as they are stored, a few at a time, in the splits of the run. Raises
    UserError where they cannot be listed, or a file not be written.
    """
    for file in filter(None, (json_file, html_file)):
        if not file.resolve().parent.is_dir():
            raise UserError(f"there is no folder {file.parent} to write {file.name} into")
    options = load_options(config)
    for option in _NOT_OF_LISTING:
        del options[option]
    found = inspect(listed(**options, on_status=say), say)
    told = {"data_dir": config.data.data_dir, **findings(found, config.data.image_size)}
    say(findings_text(told))
    if json_file is not None:
        files.write(json_file, json.dumps(told, indent=1) + "\n")
        say(f"written to {json_file}")
    if html_file is not None:
        page = findings_page(told, lambda split, number: found.image(Place(split, number)))
        files.write(html_file, page)
        say(f"written to {html_file}")
    return not told["errors"]
