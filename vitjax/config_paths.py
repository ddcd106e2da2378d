"""Where config files lie: the user's own, and those that come with vitjax; without JAX."""

import difflib
import os
from pathlib import Path

from vitjax import files
from vitjax.errors import UserError


def shipped() -> dict[str, Path]:
    """Returns the config files that come with vitjax, by their names without .py."""
    package = Path(__file__).parent
    folders = (package / "configs", package.parent / "configs")  # of a wheel, of a checkout
    folder = next(filter(Path.is_dir, folders), folders[0])
    return {path.stem: path for path in files.visible(folder, "*.py")}


def find(file: str) -> Path:
    """Returns the path of a config file, .py or not: from here, or else one that is shipped.

    The name of a shipped one may stand alone or behind configs/. Raises UserError with the nearest
    names where there is no such file.
    """
    file = os.path.expanduser(file if file.endswith(".py") else f"{file}.py")
    if os.path.isfile(file):  # no error for a name that is too long
        return Path(file)
    known, path = shipped(), Path(file)
    if path.stem in known and str(path.parent) in (".", "configs"):
        return known[path.stem]
    near = difflib.get_close_matches(path.stem, known, n=3)
    shown = " or ".join(f"configs/{name}.py" for name in near)
    hint = f"did you mean {shown}?" if near else f"vitjax has {', '.join(known) or 'none'}"
    raise UserError(f"no config file {file}; {hint}")
