"""Runs a command, and turns whatever ends it into an exit code and a message."""

import io
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from magnet_arrow.cli import signals
from magnet_arrow.cli.app import application
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.printing import complain, warnings_shown
from magnet_arrow.cli.signals import Terminated

if TYPE_CHECKING:
    from magnet_arrow.errors import MagnetError

_COMPLETE = "_MAGNET_ARROW_COMPLETE"
"""The variable in which a shell names itself when it asks how a line may go on."""


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its code."""
    warned: list[str] = []
    try:
        with signals.raising(), warnings_shown() as warned:
            code = _run()
    except (KeyboardInterrupt, Terminated) as end:  # it came in one of these lines
        code = _stopped(end)
    raise SystemExit(ExitCode.REPORTED if warned and code == ExitCode.DONE else code)


def _run() -> int:
    _prepare_streams()
    try:
        try:
            if _COMPLETE in os.environ:
                from magnet_arrow.cli import completion

                completion.print_answer(application(), os.environ[_COMPLETE])
            else:
                application(sys.argv[1:])()
        finally:
            sys.stdout.flush()
    except SystemExit as end:  # typer ends each command by one, and Ctrl-C too
        if end.code == ExitCode.INTERRUPTED:
            return _stopped(KeyboardInterrupt())
        if isinstance(end.__context__, BrokenPipeError):  # typer and rich make a SystemExit of it
            return _cut_short()
        return end.code if isinstance(end.code, int) else ExitCode.DONE
    except (KeyboardInterrupt, Terminated) as end:
        return _stopped(end)
    except BrokenPipeError:
        return _cut_short()
    except Exception as err:
        if signals.received:  # the interrupted code raised another error instead
            return _stopped(KeyboardInterrupt() if signals.received[0] == signal.SIGINT else Terminated())
        return _failed(err)
    except BaseException as err:
        if not _is_thread_refused(err):
            raise
        return _failed(RuntimeError(str(err)))
    return ExitCode.DONE


def _prepare_streams() -> None:
    if sys.stdout is None:  # the parent process closed it, so it wants no output
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters that a locale lacks are escaped, not an error
            stream.reconfigure(errors="backslashreplace")


def _is_thread_refused(err: BaseException) -> bool:
    """Whether the system refused to start a thread: Python's error, or the panic that Polars makes of it."""
    text = str(err)
    return (
        type(err).__name__ in ("RuntimeError", "PanicException")
        and "thread" in text
        and ("spawn" in text or "start new" in text)
    )


def _stopped(end: BaseException) -> ExitCode:
    """Say that a signal ended the command."""
    is_ctrl_c = isinstance(end, KeyboardInterrupt)
    print(f"{'Interrupted' if is_ctrl_c else 'Terminated'}. What was committed stays.", file=sys.stderr)
    return ExitCode.INTERRUPTED if is_ctrl_c else ExitCode.TERMINATED


def _cut_short() -> ExitCode:
    """The reader of our output closed the pipe (`… | head -1`), which is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes the rest to at its end
    return ExitCode.DONE


def _failed(err: Exception) -> ExitCode:
    """Print what went wrong; returns the exit code for it."""
    from magnet_arrow import errors
    from magnet_arrow._text import as_options
    from magnet_arrow.cli.load_predictor import PredictorFailedError

    match err:
        case PredictorFailedError():
            return _predictor_failed(err.__cause__)
        case errors.MagnetError():
            err.hint = err.hint and as_options(err.hint)
            if isinstance(err, errors.SettingError):
                err.message = as_options(err.message)
            complain(str(err))
            return ExitCode.STOPPED if _stops(err) else ExitCode.WRONG_USE
        case OSError(strerror=str(reason)):
            complain(f"{err.filename or 'magnet-arrow'}: {reason}")
        case _ if _is_thread_refused(err):
            complain(f"No thread could be started: {err}\nWhat was committed stays. Raise the limit on processes.")
        case _:  # a mistake of ours
            traceback.print_exception(err)
    return ExitCode.STOPPED


def _stops(err: "MagnetError") -> bool:
    """Whether the machine, the cache, the dump or a predictor is at fault, and not how the command was used."""
    from magnet_arrow import errors

    if isinstance(err, errors.RunNotCachedError):
        return False
    stopping = (
        *(errors.BadFileError, errors.RemoteError, errors.CacheError, errors.WorkersLostError),
        *(errors.FilterError, errors.PredictionError, errors.FolderNotWritableError, errors.SqlMemoryError),
    )
    return isinstance(err, stopping)


def _predictor_failed(cause: BaseException | None) -> ExitCode:
    """Print what a predictor raised: an error of ours in words, any other with a traceback for the author."""
    from magnet_arrow.errors import MagnetError

    match cause:
        case MagnetError():
            complain(f"The predictor failed: {cause}")
        case SystemExit(code=code):
            complain(f"The predictor ended the process: {code if isinstance(code, str) else f'exit code {code or 0}'}")
        case BaseException():
            traceback.print_exception(cause)
    return ExitCode.STOPPED
