"""What the commands share: their flags and config, and errors in one line."""

import contextlib
import errno
import os
import platform
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags, logging

from vitjax import config_paths
from vitjax.command_help import Option, help_page
from vitjax.errors import Interrupted, UserError
from vitjax.machine import environment, signals, supervise, terminal
from vitjax.text import brief, printable

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from vitjax.machine.processes import Group

_NO_MEMORY = re.compile("RESOURCE_EXHAUSTED|[Oo]ut of memory|bad_alloc|Cannot allocate memory")
_USE_LESS = (
    "lower config.data.batch_size, raise config.optim.accumulation_steps, take a smaller model, or "
    "end other programs"
)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_FAULT = 70  # exit code of what is not the user's mistake, as in sysexits.h


class OptionsAsked(tuple[str, ...]):
    """A command line that asks a command for its options alone, which it puts here."""

    options: Mapping[str, Sequence[Option]]  # by title, as in --help


class Command:
    """The flags of one call of a command, whatever other commands this process has called."""

    def __init__(self, doc: str | None, *, default_config: str = "", takes_words: bool = False):
        """`doc` is shown by --help; with `default_config` it has --config and --config.KEY."""
        self._doc, self._default_config, self._takes_words = doc or "", default_config, takes_words
        self._flags = flags.FlagValues()
        self._config_source = default_config
        self._title, self.options = "Options", dict[str, list[Option]]()  # by title, as in --help
        self._paths: list[str] = []  # options that are paths
        self._group_options: list[str] = []  # any of which asks for several processes
        self._group: Group | None = None  # the processes that this one has joined
        self.words: list[str] = []  # of the command line that are no options
        self.argv: list[str] = []  # all words of the command line
        if default_config:
            names = ", ".join(config_paths.shipped())
            self.options["What"] = [
                Option("config", "FILE[:ARG]", f"A file, or one of {names}.", default_config),
                Option("config.KEY", "VALUE", "Changes an option of it; default: what it says."),
            ]

    def section(self, title: str) -> None:
        """Lets the options that are defined from here on stand under a title in --help."""
        self._title = title

    def _add(
        self,
        define: Callable[..., Any],
        kind: str,
        name: str,
        default: Any,
        *words: Any,
        **options: Any,
    ) -> Any:
        """Defines a flag, whose last word is its help; returns its holder."""
        choices = words[0] if len(words) > 1 else ()
        self.options.setdefault(self._title, []).append(
            Option(name, kind, words[-1], default, choices, options.get("required", False))
        )
        return define(name, default, *words, flag_values=self._flags, **options)

    def string(self, name: str, default: str | None, help_text: str, **options: Any) -> Any:
        """Defines --NAME=TEXT; returns its holder, as the other kinds do."""
        return self._add(flags.DEFINE_string, "TEXT", name, default, help_text, **options)

    def path(self, name: str, default: str | None, help_text: str, **options: Any) -> Any:
        """Defines --NAME=PATH, whose ~ is the home: no shell puts it there behind a `=`."""
        self._paths.append(name)
        return self._add(flags.DEFINE_string, "PATH", name, default, help_text, **options)

    def integer(self, name: str, default: int | None, help_text: str, **options: Any) -> Any:
        """Defines --NAME=WHOLE NUMBER."""
        return self._add(flags.DEFINE_integer, "INTEGER", name, default, help_text, **options)

    def number(self, name: str, default: float, help_text: str) -> Any:
        """Defines --NAME=NUMBER."""
        return self._add(flags.DEFINE_float, "NUMBER", name, default, help_text)

    def switch(self, name: str, help_text: str) -> Any:
        """Defines --NAME, which is off by default."""
        return self._add(flags.DEFINE_bool, "", name, False, help_text)

    def texts(self, name: str, help_text: str) -> Any:
        """Defines --NAME=TEXT,TEXT, empty by default."""
        return self._add(flags.DEFINE_list, "TEXT,TEXT", name, [], help_text)

    def choice(self, name: str, default: str, choices: Sequence[str], help_text: str) -> Any:
        """Defines --NAME=ONE of the choices."""
        kind = "|".join(choices)
        return self._add(flags.DEFINE_enum, kind, name, default, choices, help_text)

    def png(self, name: str, help_text: str) -> Any:
        """Defines --NAME=FILE.png, none by default."""
        holder = self.path(name, None, help_text)
        flags.register_validator(
            name,
            lambda value: value is None or value.lower().endswith(".png"),
            message="expected a file whose name ends with .png",
            flag_values=self._flags,
        )
        return holder

    def group(self) -> Callable[[], None]:
        """Defines the options of a command that several processes can share.

        Returns what joins them where the options say so, to be called before JAX begins.
        """
        self.section("Machine")
        distributed = self.switch(
            "distributed", "Shares the run with the other processes of a cluster, which tells them."
        )
        coordinator = self.string(
            "coordinator", None, "HOST:PORT of process 0, where no cluster tells it."
        )
        num_processes = self.integer("num_processes", None, "How many processes share the run.")
        process_id = self.integer("process_id", None, "Which of them this one is, from 0.")
        self._group_options = ["distributed", "coordinator", "num_processes", "process_id"]

        def join() -> None:
            """Joins the processes that the options name, if any."""
            given = coordinator.value, num_processes.value, process_id.value
            if distributed.value or given != (None, None, None):
                from vitjax.machine import processes

                self._group = processes.join(*given)

        return join

    @property
    def config(self) -> "ConfigDict":
        """The config that the command line gives."""
        return self._flags.config

    @property
    def config_file(self) -> Path:
        """The file that the config is of."""
        from vitjax import config_file

        return Path(config_file.split_argument(self._config_source)[0])

    def run(self, main: Callable[[], int], argv: Sequence[str] | None) -> int:
        """Runs `main()` on a command line (None: this process's); returns the exit code.

        Says in one line what the user can mend. Anything else is a fault of ours and shows its
        traceback; the environment variable VITJAX_TRACEBACK=1 shows it for all.
        """
        if isinstance(argv, OptionsAsked):
            argv.options = self.options
            return 0
        if argv is None:
            signals.listen()
            terminal.open_closed_streams()
            if not _wants_tracebacks():
                terminal.keep_libraries_quiet()
            os.environ["MPLBACKEND"] = "agg"  # pictures are written, not shown
        self.argv = list(sys.argv[1:] if argv is None else argv)
        names = {word.lstrip("-").partition("=")[0] for word in self.argv}
        if argv is None and supervise.is_child():
            supervise.begin_child()
        elif argv is None and names & {*self._group_options}:
            return supervise.run()
        code = self._run(main)
        if self._group is not None:
            self._group.leave(code)
        return code

    def _run(self, main: Callable[[], int]) -> int:
        # What Orbax and TFDS chat; what they log as an error they raise as well.
        logging.set_verbosity(logging.ERROR if _wants_tracebacks() else logging.FATAL)
        try:
            with terminal.harmless_output():
                code = self._parse_and_call(main)
                sys.stdout.flush()
                return code
        except BrokenPipeError as error:  # `| head` has read enough
            self._say(error, "")
            terminal.drop_output()
            return 141
        except (UserError, flags.Error) as error:
            self._say_mistake(error, " ".join(str(error).split()))
            return 2 if isinstance(error, flags.Error) else 1
        except Interrupted as error:
            self._say(error, str(error))
            return 128 + error.signal_number
        except KeyboardInterrupt as error:
            self._say(error, "interrupted")
            return 130
        except Exception as error:
            if line := _of_the_machine(error):
                self._say_mistake(error, line)
                return 1
            self._say(error, f"{traceback.format_exc()}{_report_it()}")
            return _FAULT

    def _parse_and_call(self, main: Callable[[], int]) -> int:
        helps = ("help", "helpfull", "helpshort")
        if any(word == "-h" or word.lstrip("-") in helps for word in self.argv):
            print(help_page(self._doc, self.options))
            return 0
        environment.check()
        self._parse()
        return main()

    def _say_mistake(self, error: BaseException, line: str) -> None:
        """Says in one line what can be mended, or where it comes from if that is asked for."""
        whole = traceback.format_exc() if _wants_tracebacks() else ""
        self._say(error, whole or f"error: {printable(line)}")

    def _say(self, error: BaseException, text: str) -> None:
        """Says what ends this process, if anything, unless another one says it."""
        with contextlib.suppress(OSError, UserError):
            sys.stdout.flush()
        if (self._group is None or self._group.is_to_say(error)) and text:
            with contextlib.suppress(OSError):
                print(text, file=sys.stderr, flush=True)

    def _parse(self) -> None:
        argv = ["", *self.argv]
        if self._default_config:
            argv = self._read_config(argv)
        self._flags.set_gnu_getopt(True)  # options may stand behind words
        self.words = self._flags(argv)[1:]
        for name in self._paths:
            if given := self._flags[name].value:
                self._flags[name].value = os.path.expanduser(given)
        if self.words and not self._takes_words:
            raise UserError(f"unexpected argument {self.words[0]!r}; options begin with --")

    def _read_config(self, argv: list[str]) -> list[str]:
        """Defines the flags --config.KEY; returns the words but for --config."""
        from ml_collections import config_flags

        from vitjax import config_file
        from vitjax.config import check_keys, use_model

        given, argv = _take(argv, "config")
        self._config_source = given or self._default_config
        config = config_file.load_config(self._config_source)
        model_name, argv = _take(argv, "config.model_name")
        if model_name is not None:
            use_model(config, model_name)
        words = (word.partition("=")[0].lstrip("-").removeprefix("no") for word in argv)
        keys = (w.removeprefix("config.") for w in words if w.startswith("config."))
        check_keys(keys, config, prefix="--config.")
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=self._flags, sys_argv=argv, lock_config=True
        )
        return argv


def _wants_tracebacks() -> bool:
    return environment.is_on("VITJAX_TRACEBACK")


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
            raise UserError(f"--{name} needs a value: --{name}=VALUE")
    return value, rest


def _of_the_machine(error: Exception) -> str:
    """Returns a line on what the machine lacks, or does not allow; "" where it is not that."""
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return f"out of memory ({_first_line(error)}); {_USE_LESS}"
    if _names_no_device(error):
        chosen = f"JAX_PLATFORMS={os.environ['JAX_PLATFORMS']!r}"
        return f"JAX finds no such devices ({_first_line(error)}); change {chosen}"
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        where = f" {os.fsdecode(error.filename)}" if error.filename else ""
        return f"cannot write{where}: {error.strerror}; make room there, or choose another place"
    return ""


def _names_no_device(error: BaseException) -> bool:
    """Whether JAX has failed to begin on the platforms that the environment names."""
    frames = traceback.extract_tb(error.__traceback__)
    began = bool(frames) and Path(frames[-1].filename).name == "xla_bridge.py"
    return began and "JAX_PLATFORMS" in os.environ


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return brief(lines[0], 200) if lines else type(error).__name__


def _report_it() -> str:
    """Returns what to do with a traceback that is a fault of ours."""
    versions = [f"Python {platform.python_version()}"]
    for library in ("vitjax", "jax", "flax"):
        with contextlib.suppress(Exception):
            versions.append(f"{library} {sys.modules[library].__version__}")
    return (
        "This is a fault of vitjax, not yours. Please report it in the issue tracker of the "
        "repository that your vitjax came from, with the lines above, the command and these "
        f"versions: {', '.join(versions)}."
    )
