"""A predictor that a user wrote, as the command line runs it: found by its name, and kept from what is ours.

What it prints does not reach the data on stdout, and however it ends, the command knows that it was the predictor.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, TypeGuard

import typer
from polars.exceptions import PanicException

from magnet_arrow.predictor import RunPredictor


class PredictorFailedError(Exception):
    """The code of a predictor's author ended by what is this error's cause: an exception, or an exit with any code."""


@contextlib.contextmanager
def predictors_code(*, leave: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Runs the code of a predictor's author; signals raise there as anywhere else.

    Args:
        leave: raised as it is.

    Raises:
        PredictorFailedError: it raised something, or exits.
    """
    try:
        yield
    except (Exception, SystemExit, PanicException) as error:
        if isinstance(error, (PredictorFailedError, *leave)):
            raise
        raise PredictorFailedError from error


def load_predictor(name: str) -> type[RunPredictor]:
    """The class that MODULE:CLASS names.

    Raises:
        typer.BadParameter: there is none, or it cannot be made an object of.
        PredictorFailedError: its module raised something.
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
        raise typer.BadParameter(f"there is no module {module_name!r} in this folder or installed.") from None
    found = getattr(module, class_name, None)
    if not _is_predictor(found):
        known = [name for name, value in vars(module).items() if _is_predictor(value) and value is not RunPredictor]
        others = f" It has {', '.join(known)}." if known else ""
        raise typer.BadParameter(f"{module_name} has no subclass of RunPredictor called {class_name!r}.{others}")
    lacking = sorted(getattr(found, "__abstractmethods__", ()))
    if lacking:
        raise typer.BadParameter(f"{name} has no method {' and no '.join(lacking)}.")
    return found


def _is_predictor(value: object) -> TypeGuard[type[RunPredictor]]:
    return isinstance(value, type) and issubclass(value, RunPredictor)


def with_own_errors(predict: Callable[..., object]) -> Callable[..., object]:
    """A predictor's method, whose errors are its own even where they are of this package's kinds."""

    def predict_(*args: object, **options: object) -> object:
        with predictors_code():
            return predict(*args, **options)

    return predict_


@contextlib.contextmanager
def stdout_for_data() -> Iterator[TextIO]:
    """A way to stdout for data alone: what anyone else prints goes to stderr.

    Where stdout is file descriptor 1, that stays so until the process ends, for all who write to the descriptor too:
    children, and C libraries, which may hold back what they print until then.
    """
    if not _is_descriptor_1(sys.stdout):  # someone in this process captures what is printed
        data = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield data
        return
    sys.stdout.flush()
    with open(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors) as data:
        os.dup2(os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else 2, 1)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # of a descriptor it is no other class
        yield data


def _is_descriptor_1(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False
