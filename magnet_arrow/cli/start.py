"""Entry point of the script `magnet-arrow`.

The script imports this module first, so that Ctrl-C and SIGTERM are handled before anything else is imported. They end
the process at once before a command begins and after it has ended.
"""

import _signal  # type: ignore[import-not-found]  # `signal` itself would take a while to import
import gc
import os
import sys

_GC_OBJECTS = 100_000
"""So many new ones until garbage is collected: while something is imported there is none."""


def _end_at_once(number: int, _: object) -> None:
    """End the process as `magnet_arrow.cli.signals` would, without a traceback through what is being imported."""
    what = "Interrupted" if number == _signal.SIGINT else "Terminated"
    try:
        os.write(2, f"{what}. What was committed stays.\n".encode())
    finally:
        os._exit(128 + number)


try:
    for _number, _usual in ((_signal.SIGINT, _signal.default_int_handler), (_signal.SIGTERM, _signal.SIG_DFL)):
        if _signal.getsignal(_number) == _usual:  # else the parent process wants them to be ignored
            _signal.signal(_number, _end_at_once)
except KeyboardInterrupt:
    _end_at_once(_signal.SIGINT, None)


def main() -> None:
    """Run the command line; it ends the process with its exit code."""
    is_sql = sys.argv[1:2] == ["sql"]
    if sys.argv[1:2] != ["predict"]:  # whose predictor may need pandas
        from magnet_arrow._no_pandas import hide_pandas, hide_unneeded

        hide_pandas()
        if is_sql:  # together a tenth of the time of a short statement
            hide_unneeded()
            gc.set_threshold(_GC_OBJECTS)
    from magnet_arrow.cli.main import main as run_command

    try:
        run_command()
    except SystemExit as end:
        if isinstance(end.code, int) and (is_sql or _has_fetched()):
            _leave(end.code)
        raise


def _has_fetched() -> bool:
    """Whether requests to a bucket may be under way, and no code of a user has run, which may want to end in order."""
    return "obstore" in sys.modules and sys.argv[1:2] not in (["predict"], ["evaluate"])


def _leave(code: int) -> None:
    """End the process without taking it apart. Files are closed by now, and processes have ended.

    Of a short statement of SQL that would take a seventh of the time. And a request to a bucket that was given up would
    abort the process if it were answered while Python ends.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, AttributeError):  # a full disk, or no stderr: Python says so at its own end
        return
    os._exit(code)
