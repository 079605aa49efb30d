"""Runs a predictor that a user wrote: finds its class by name, and tells its errors and output from ours.

What it prints does not reach the data on stdout, and an error or exit in its code is reported as the predictor's.
"""

import contextlib
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeAlias, cast

import typer
from polars.exceptions import PanicException

from magnet_arrow._near_names import did_you_mean
from magnet_arrow.instance_predictor import InstancePredictor
from magnet_arrow.predictor import RunPredictor

AnyPredictor: TypeAlias = RunPredictor | InstancePredictor
_BASES = (RunPredictor, InstancePredictor)


class PredictorFailedError(Exception):
    """A predictor's code raised an exception or exited; the exception is this error's cause."""


@contextlib.contextmanager
def predictors_code(*, leave: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """A context for the code of a predictor's author. Signals raise in it as anywhere else.

    Args:
        leave: exceptions that are raised unchanged.

    Raises:
        PredictorFailedError: the code raised another exception, or exited.
    """
    try:
        yield
    except (Exception, SystemExit, PanicException) as error:
        if isinstance(error, (PredictorFailedError, *leave)):
            raise
        raise PredictorFailedError from error


def load_predictor(name: str) -> type[AnyPredictor]:
    """The class of a `RunPredictor` or `InstancePredictor` that MODULE:CLASS names; see `load_class`."""
    return cast("type[AnyPredictor]", load_class(name, _BASES))


def load_class(name: str, bases: tuple[type, ...]) -> type[Any]:
    """The class that MODULE:CLASS names.

    Args:
        name: as the user wrote it.
        bases: it is a subclass of one of these.

    Raises:
        typer.BadParameter: there is no such class, or it has abstract methods.
        PredictorFailedError: its module raised an exception.
    """
    module_name, _, class_name = name.partition(":")
    if not class_name:
        raise typer.BadParameter(f"{name!r} names no class: write MODULE:CLASS.")
    if module_name.endswith(".py") or Path(module_name).name != module_name:
        stem = Path(module_name).stem
        raise typer.BadParameter(f"{module_name} is a file: write {stem}:{class_name}, in the folder that it is in.")
    sys.path.insert(0, "")
    try:
        with predictors_code():
            module = importlib.import_module(module_name)
    except PredictorFailedError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if not missing or not f"{module_name}.".startswith(f"{missing}."):
            raise
        hint = did_you_mean(module_name, _modules_next_to(module_name))
        raise typer.BadParameter(f"there is no module {module_name!r} in this folder or installed. {hint}") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, bases)):
        classes = [(name, value) for name, value in vars(module).items() if isinstance(value, type)]
        known = [name for name, value in classes if issubclass(value, bases) and value not in bases]
        others = did_you_mean(class_name, known) or (known and f"It has {', '.join(known)}.")
        wanted = " or ".join(base.__name__ for base in bases)
        raise typer.BadParameter(
            f"{module_name} has no subclass of {wanted} called {class_name!r}. {others or ''}".rstrip()
        )
    lacking = sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise typer.BadParameter(f"{name} has no method {' and no '.join(lacking)}.")
    return found


def _modules_next_to(name: str) -> list[str]:
    """Modules of the package that a module would be in, or of this folder."""
    package = name.rpartition(".")[0]
    begin = f"{package}." if package else ""
    places = getattr(sys.modules.get(package), "__path__", []) if package else [os.curdir]
    return [begin + module.name for module in pkgutil.iter_modules(places)]


def with_own_errors(predict: Callable[..., object]) -> Callable[..., object]:
    """A predictor's method, any error of which is the predictor's, even a `MagnetError`."""

    def predict_(*args: object, **options: object) -> object:
        with predictors_code():
            return predict(*args, **options)

    return predict_


@contextlib.contextmanager
def stdout_for_data() -> Iterator[TextIO]:
    """A stream to stdout for data only; everything else that is printed goes to stderr.

    If stdout is file descriptor 1, the descriptor itself is redirected until the process ends. This includes the output
    of child processes and of C libraries, which may hold it back until then.
    """
    if not _is_descriptor_1(sys.stdout):  # the output is captured in this process
        data = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield data
        return
    sys.stdout.flush()
    with open(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors) as data:
        os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2, 1)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a stream of a descriptor has this class
        yield data


def _is_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False
