"""Exit codes of the command line.

    0    done
    1    done, but something is reported: runs rejected, partial or stale, missing truth, what validate or verify find
    2    wrong use, source not found, no runs in it
    3    stopped: disk or memory full, cache damaged or locked, bucket not readable, all runs rejected, predictor failed
    130  interrupted (Ctrl-C)
    143  terminated (SIGTERM)

The page docs/exit-codes.md shows the same table; a test compares them.
"""

import enum


class ExitCode(enum.IntEnum):
    """The exit codes, as in the table above."""

    DONE = 0
    REPORTED = 1
    WRONG_USE = 2
    STOPPED = 3
    INTERRUPTED = 130
    TERMINATED = 143
