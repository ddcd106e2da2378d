"""What the commands share: reading a config and its overrides, errors in one line, start-up."""

import contextlib
import difflib
import importlib.util
import os
import platform
import sys
import traceback
import types
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import app, flags, logging

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # what is defined here for a command is the command's


def run_with_config(main: Callable[["ConfigDict", Path], None], default_config: str) -> None:
    """Runs `main(config, file)` on --config=FILE[:ARG] and --config.KEY=VALUE of the command line.

    Says what is wrong in one line; the environment variable VITJAX_TRACEBACK=1 shows tracebacks.
    """
    source = default_config

    def parse(argv: Sequence[str]) -> list[str]:
        nonlocal source
        if _asks_for_help(argv):
            text = "FILE[:ARG] of the run; --config.KEY=VALUE changes an option of it."
            flags.DEFINE_string("config", default_config, text)
            FLAGS.register_key_flag_for_module(argv[0], FLAGS["config"])
            return _parse_plain(argv)
        given, rest = _take(argv, "config")
        source = given or default_config
        return _parse_overrides(load_config(source), rest)

    _run(lambda: main(FLAGS.config, Path(source.partition(":")[0])), parse)


def run(main: Callable[[], int]) -> None:
    """Runs `main()`, which returns the exit code, on a command line without a config.

    Says what is wrong in one line; the environment variable VITJAX_TRACEBACK=1 shows tracebacks.
    """
    _run(lambda: sys.exit(main()), _parse_plain)


def run_with_words(main: Callable[[list[str]], int]) -> None:
    """As `run`, of a `main` that takes the words of the command line that are no options."""
    _start(lambda argv: sys.exit(main(list(argv[1:]))), _parse_plain)


def png_flag(name: str, help_text: str) -> flags.FlagHolder:
    """Defines an option of a command whose value is a PNG file, None by default."""
    holder = flags.DEFINE_string(name, None, help_text)

    def is_png(value: str | None) -> bool:
        return value is None or value.lower().endswith(".png")

    flags.register_validator(holder, is_png, message="expected a file whose name ends with .png")
    return holder


def _run(main: Callable[[], None], parse: Callable[[Sequence[str]], list[str]]) -> None:
    def guarded(argv: Sequence[str]) -> None:
        if len(argv) > 1:
            raise ValueError(f"unexpected argument {argv[1]!r}; options begin with --")
        main()

    _start(guarded, parse)


def _start(
    guarded: Callable[[Sequence[str]], None], parse: Callable[[Sequence[str]], list[str]]
) -> None:
    logging.set_verbosity(logging.ERROR)  # Orbax and TFDS chat at the levels below
    app.run(lambda argv: _one_line(guarded, argv), flags_parser=lambda argv: _one_line(parse, argv))


def _asks_for_help(argv: Sequence[str]) -> bool:
    return any(word.lstrip("-") in ("help", "helpfull", "helpshort") for word in argv)


def _parse_plain(argv: Sequence[str]) -> list[str]:
    """Parses argv; leaves with code 0 after showing help, where absl's is 1."""
    if not _asks_for_help(argv):
        FLAGS.set_gnu_getopt(True)  # options may stand behind words
        return FLAGS(argv)
    with contextlib.suppress(SystemExit):
        FLAGS(argv)
    sys.exit(0)


def _one_line(function: Callable[[Any], Any], argument: Any) -> Any:
    """Calls the function; turns errors that a user can mend into one line and an exit code."""
    try:
        try:
            return function(argument)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError, FloatingPointError, flags.Error) as error:
        if os.environ.get("VITJAX_TRACEBACK"):
            raise
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2 if isinstance(error, flags.Error) else 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _parse_overrides(config: "ConfigDict", argv: list[str]) -> list[str]:
    """Defines the flags --config.KEY, and parses argv."""
    from ml_collections import config_flags

    from vitjax.config import use_model

    model_name, rest = _take(argv, "config.model_name")
    if model_name is not None:
        use_model(config, model_name)
    _check_keys(rest, config)
    config_flags.DEFINE_config_dict("config", config, sys_argv=rest)
    return FLAGS(rest)


def _take(argv: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """Removes --name=VALUE or --name VALUE from argv; returns the last VALUE and what is left."""
    value, rest, words = None, [], iter(argv)
    for word in words:
        key, equals, given = word.partition("=")
        if key not in (f"--{name}", f"-{name}"):
            rest.append(word)
            continue
        value = given if equals else next(words, None)
        if not value:
            raise ValueError(f"--{name} needs a value: --{name}=VALUE")
    return value, rest


def _check_keys(argv: Sequence[str], config: "ConfigDict") -> None:
    """Raises ValueError for a --config.KEY that the config lacks, with the nearest keys."""
    from vitjax.config import flatten, nearest_keys

    known = flatten(config)
    for word in argv[1:]:
        key = word.partition("=")[0].lstrip("-").removeprefix("no")
        if not key.startswith("config."):
            continue
        key = key.removeprefix("config.")
        if key not in known:
            near = " or ".join(f"--config.{k}" for k in nearest_keys(key, config))
            hint = f"; did you mean {near}?" if near else ""
            raise ValueError(f"unknown option --config.{key}{hint}")


def load_config(name: str) -> "ConfigDict":
    """Returns `get_config(ARG)` of FILE[:ARG]; ARG may be, or end with, `debug`.

    FILE is looked for from here, then among the configs that come with vitjax.
    """
    file, _, argument = name.partition(":")
    module = _run_file(_find(file))
    if not hasattr(module, "get_config"):
        raise ValueError(f"--config={file} defines no get_config(arg)")
    words = argument.split(",") if argument else []
    try:
        config = module.get_config(",".join(word for word in words if word != "debug"))
    except ValueError:  # the config's own words
        raise
    except Exception as error:  # an unknown option, or whatever a user's file may raise
        raise ValueError(f"--config={file} fails: {_where(error, file)}") from error
    from ml_collections import ConfigDict

    if not isinstance(config, ConfigDict):
        raise ValueError(
            f"get_config of --config={file} returned {type(config).__name__}, expected a ConfigDict"
        )
    if "debug" in words:
        from vitjax.config import debug

        debug(config)
    return config


def load_sweep(file: str, name: str) -> list[dict[str, Any]]:
    """Returns what `sweep(name)` of a config file yields, `sweep()` for ""."""
    module = _run_file(_find(file))
    if not hasattr(module, "sweep"):
        raise ValueError(f'--config={file} defines no sweep(); give --grid="KEY=VALUE,VALUE;..."')
    try:
        return [dict(overrides) for overrides in (module.sweep(name) if name else module.sweep())]
    except ValueError:  # the config's own words
        raise
    except Exception as error:  # whatever a user's file may raise
        raise ValueError(f"sweep() of --config={file} fails: {_where(error, file)}") from error


def _run_file(path: Path) -> types.ModuleType:
    """Returns the module of a Python file; raises ValueError with the line that fails."""
    spec = importlib.util.spec_from_file_location("vitjax_config", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"--config={path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        raise ValueError(f"--config={path} fails: {_where(error, path.name)}") from error
    return module


def _where(error: Exception, file: str) -> str:
    """Returns an error's text, with the line of the config file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == Path(file).name]
    number = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" (line {number})" if number else "")


def _find(file: str) -> Path:
    package = Path(__file__).parent
    shipped = [package / "configs", package.parent / "configs"]
    paths = [Path(file)]
    if str(Path(file).parent) in (".", "configs"):
        paths += [folder / Path(file).name for folder in shipped]
    for path in paths:
        if path.is_file():
            return path
    known = sorted({p.stem for folder in shipped for p in folder.glob("*.py")})
    near = difflib.get_close_matches(Path(file).stem, known, n=3) or known
    raise ValueError(
        f"no config file {file}; there are {', '.join(f'configs/{n}.py' for n in near)}"
    )


def use_compile_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start is quick.

    JAX_COMPILATION_CACHE_DIR chooses another folder; JAX_ENABLE_COMPILATION_CACHE=0 turns it off.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "vitjax" / "xla" / _machine()
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # JAX leaves out what compiles within a second, such as a small network's evaluation.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _machine() -> str:
    """Returns a name for this kind of processor: programs compiled for another may crash on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{zlib.crc32(features.encode()):08x}"
