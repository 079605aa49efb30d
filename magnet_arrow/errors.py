"""The errors of this package, and where in a dump they occurred.

    MagnetError
    ├── SourceNotFoundError    (FileNotFoundError)    no such file or folder
    │   └── NoRunsError                               the source exists but holds no run
    ├── BadFileError           (ValueError)           a file of a run that cannot be read
    ├── RemoteError            (OSError)              a store of a bucket refused a request, or did not answer
    ├── CacheError                                    something is wrong with the cache
    │   ├── CacheDamagedError                         it does not hold what was committed
    │   ├── CacheNotReadableError  (OSError)          it cannot be read for now: permissions, limits, a failing disk
    │   ├── CacheNotWritableError  (OSError)          it cannot be written: permissions, disk full
    │   ├── CacheLockedError                          another process is writing to it
    │   ├── CacheVersionError                         another version wrote it
    │   ├── SnapshotExpiredError                      files of an older state have been removed
    │   └── RunNotCachedError                         it does not have this run
    ├── SettingError           (ValueError)           a setting with an impossible value
    ├── WorkersLostError       (RuntimeError)         worker processes have ended, or cannot be started
    ├── ForkedError            (RuntimeError)         this process was forked and lacks Polars' threads
    ├── NotEnoughRunsError     (ValueError)           fewer runs than a draw needs
    ├── NotEnoughSamplesError  (RuntimeError)         fewer request states than a predictor asked for
    ├── FilterError            (TypeError)            a filter has or returned a wrong type
    ├── PredictionError        (ValueError)           a predictor returned something else than predictions
    ├── JoinError              (ValueError)           rows that do not fit together as they were asked to
    ├── PanelError             (ValueError)           scores that make no panel: two for one cell, NaN, unequal items
    ├── FamilyNotFoundError    (LookupError)          a model whose family nobody has said
    ├── MissingPackageError    (ImportError)          an optional package that is needed for this
    ├── RealMagnetError        (ImportError)          MAGNET's own `magnet` is imported where ours was to stand for it
    ├── RestoreError           (ValueError)           a run cannot be restored to this folder
    ├── ColumnNotFoundError    (ValueError)           there is no such column; offers a similar name
    ├── SqlError               (ValueError)           a statement that is no SQL, not allowed, or cannot be carried out
    ├── SqlMemoryError         (MemoryError)          a statement that needs more memory than it may use
    ├── FolderNotEmptyError    (FileExistsError)      the folder to write exists and is not empty
    ├── FileNotReplacedError   (FileExistsError)      the file to write exists and is something else
    ├── FolderNotWritableError (OSError)              the folder cannot be written: permissions, disk full
    └── UnsupportedError       (NotImplementedError)  MAGNET has this, this package does not

    MagnetWarning              (UserWarning)          done, but not everything that was asked for

Bad data in a dump is a value (`Rejected`); misuse of the package is an exception.
"""

import errno
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import msgspec

from magnet_arrow._near_names import did_you_mean
from magnet_arrow._text import for_terminal, of_system, where_to_write


@dataclass(frozen=True, slots=True)
class Where:
    """A location in a dump, as exactly as it is known.

    Attributes:
        run: `suite/folder` of the run, or its folder as the user gave it.
        file: name of the file in the run's folder.
        json_path: location in the file's JSON, such as `$[41].mean`.
        byte: offset in the file, from 0.
    """

    run: str | None = None
    file: str | None = None
    json_path: str | None = None
    byte: int | None = None

    def __str__(self) -> str:
        """The location as text; empty if nothing is known.

        >>> print(Where("mmlu:subject=anatomy", "stats.json", "$[41].mean", 18204))
        mmlu:subject=anatomy/stats.json, byte 18204, at $[41].mean
        """
        file = "/".join(part for part in (self.run, self.file) if part)
        byte = None if self.byte is None else f"byte {self.byte}"
        json_path = self.json_path and f"at {self.json_path}"
        return ", ".join(for_terminal(part) for part in (file, byte, json_path) if part)


class MagnetError(Exception):
    """Base of all errors of this package. The text says where, what was expected, what was found, and what to do.

    The text is safe to print: names and values from a dump are escaped in it.

    Attributes:
        message: one sentence; may be empty where `expected` and `found` say it all.
        where: the location in a dump.
        expected: what should have been there; follows the word "expected".
        found: what was there; follows the word "found".
        hint: what the reader can do, in sentences. Only the hint may have several lines.

    >>> print(MagnetError("", where=Where("a", "stats.json"), expected="a list", found="a number"))
    a/stats.json:
      expected a list, found a number.
    """

    def __init__(
        self,
        message: str,
        *,
        where: Where | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint

    @property
    def reason(self) -> str:
        """What went wrong, without location and hint."""
        return " ".join(filter(None, (self.message, _expectation(self.expected, self.found))))

    def __str__(self) -> str:
        """The text: location, then message and expectation, then hint, on a line each."""
        return _paragraph(self.where, (self.message, _expectation(self.expected, self.found)), self.hint)


class SourceNotFoundError(MagnetError, FileNotFoundError):
    """There is no such file or folder, or HELM did not write it."""


class NoRunsError(SourceNotFoundError):
    """The source exists, but holds no run."""


class BadFileError(MagnetError, ValueError):
    """A file of a run cannot be read. An ingest reports it as a `Rejected`, and ingests the other runs."""


class RemoteError(MagnetError, OSError):
    """The store that a bucket is in refused a request, or did not answer. This says nothing about a dump in it.

    Attributes:
        url: of the object or folder that was asked for.
        status: of the answer, as in HTTP; None if there was none.
        attempts: how often it was asked for.
    """

    url: str = ""
    status: int | None = None
    attempts: int = 1

    @classmethod
    def of(cls, url: str, found: str, *, status: int | None = None, attempts: int = 1, hint: str | None = None) -> Self:
        """The error for a request; `found` says what came in place of the answer."""
        tries = f" after {attempts} attempts" if attempts > 1 else ""
        error = cls(f"{url} cannot be read: {found}{tries}.", hint=hint)
        error.url, error.status, error.attempts = url, status, attempts
        error.errno, error.strerror = errno.EIO, f"{found}{tries} ({url})"
        return error


class CacheError(MagnetError):
    """Base of errors about a cache."""


class CacheDamagedError(CacheError):
    """A file of the cache is missing, has another size, or does not match its checksum."""


class CacheNotReadableError(CacheError, OSError):
    """A file of the cache cannot be read for now: no permission, too many open files, a failing disk."""


class CacheNotWritableError(CacheError, OSError):
    """The cache cannot be written: no permission, read-only, or the disk is full."""


class CacheLockedError(CacheError):
    """Another process is committing to the cache and did not finish in time, or took the lock from this one."""


class CacheVersionError(CacheError):
    """The cache was written in a format that this version of the package does not read."""


class SnapshotExpiredError(CacheError):
    """A frame is older than the grace time, and files that it needs have been removed."""


class RunNotCachedError(CacheError):
    """The cache has no such run."""


class SettingError(MagnetError, ValueError):
    """A setting has an impossible value: too little memory, no workers, a negative number of runs."""

    @classmethod
    def among(cls, setting: str, value: object, choices: Iterable[str]) -> Self:
        """The error for a value that is none of the choices, with the most similar of them.

        >>> print(SettingError.among("folds", "modle", ["model", "run"]))
        folds:
          expected one of model, run, found 'modle'.
          Did you mean 'model'?
        """
        choices = list(choices)
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        return cls(f"{setting}:", expected=f"one of {', '.join(choices)}", found=repr(value), hint=hint or None)


class WorkersLostError(MagnetError, RuntimeError):
    """Worker processes have ended, or cannot be started. What was committed stays."""


class ForkedError(MagnetError, RuntimeError):
    """This process was forked from one that had used Polars, and lacks its threads."""


class NotEnoughRunsError(MagnetError, ValueError):
    """There are fewer runs than a draw of train runs and a held-out run needs."""


class NotEnoughSamplesError(MagnetError, RuntimeError):
    """The held-out run has fewer request states than `num_eval_samples`."""


class FilterError(MagnetError, TypeError):
    """A filter on runs has a wrong type, or returned one."""


class PredictionError(MagnetError, ValueError):
    """A predictor returned something that is no prediction, or one that cannot be compared."""


class JoinError(MagnetError, ValueError):
    """Rows do not join as they were asked to: several values where one is needed, or no partner."""


class PanelError(MagnetError, ValueError):
    """Scores make no panel: two for one cell, NaN, items that are not the same for all models, or no scores at all."""

    @classmethod
    def among(cls, name: str, known: Iterable[str], what: str) -> Self:
        """The error for a model or an item that is not in a panel, with the nearest of those that are."""
        return cls(f"The panel has no {what} {name!r}.", hint=_nearest_or_first(str(name), sorted(known)))


class FamilyNotFoundError(MagnetError, LookupError):
    """Nobody has said of which family a model is."""


class MissingPackageError(MagnetError, ImportError):
    """An optional package is needed for this and is not installed."""


class RealMagnetError(MagnetError, ImportError):
    """MAGNET's own `magnet` was imported before `magnet_arrow.magnet_compat`, which cannot replace it."""


class RestoreError(MagnetError, ValueError):
    """A run cannot be restored: the target exists, or is outside of the given folder."""


class ColumnNotFoundError(MagnetError, ValueError):
    """A table has no such column."""

    @classmethod
    def among(cls, name: str, known: Iterable[str], *, table: str, what: str = "column") -> Self:
        """The error for `name`, with the most similar of the `known` names; `what` says what is named.

        `_near_names` says which names are similar.

        >>> print(ColumnNotFoundError.among("stats.maen", ["stats.mean", "stats.sum"], table="stats"))
        stats has no column 'stats.maen'.
          Did you mean 'stats.mean'?
        """
        return cls(f"{table} has no {what} {name!r}.", hint=_nearest_or_first(name, sorted(known)))


class SqlError(MagnetError, ValueError):
    """A statement is no SQL, is not allowed, or cannot be carried out."""


class SqlMemoryError(MagnetError, MemoryError):
    """A statement needs more memory than it may use."""


class FolderNotEmptyError(MagnetError, FileExistsError):
    """The folder to write exists and is not empty, or is a file."""


class FileNotReplacedError(MagnetError, FileExistsError):
    """The file to write exists and is not of the kind that would take its place."""


class FolderNotWritableError(MagnetError, OSError):
    """A folder other than the cache cannot be written: no permission, read-only, or the disk is full."""

    @classmethod
    def of(cls, path: os.PathLike[str], error: OSError, other: str) -> Self:
        """The error for a path that the system does not let be written.

        Args:
            path: of the file or folder.
            error: the system's.
            other: how to name another folder, see `where_to_write`.
        """
        return cls(f"{path} cannot be written: {of_system(error)}.", hint=where_to_write(error, other))


class UnsupportedError(MagnetError, NotImplementedError):
    """MAGNET has this and we do not; the text says what to use instead."""


class MagnetWarning(UserWarning):
    """Something was done in another way than was asked for, or not completely.

    Attributes:
        for_shell: the text for users of the command line, whose hint names options.
    """

    def __init__(self, message: str, for_shell: str | None = None) -> None:
        super().__init__(message)
        self.for_shell = for_shell or message


def warn(message: str, hint: str = "", *, shell_hint: str = "") -> None:
    """Warn at the caller's line outside of this package, since Python shows a text once per line.

    Args:
        message: what was done, in sentences.
        hint: what the reader can do.
        shell_hint: the same for users of the command line; `hint` by default.
    """
    text, for_shell = (" ".join(filter(None, (message, one))) for one in (hint, shell_hint or hint))
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(MagnetWarning(text, for_shell), stacklevel=level)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected run and the reason, which is about its first bad file; or what a partial run lacks of a file.

    Attributes:
        run: `suite/folder` of the run.
        file: the file that could not be read; empty if the reason is about the whole run.
        reason: what was expected and what was found, in sentences.
        json_path: location in the file's JSON, such as `$[41].mean`.
        byte: offset in the file, from 0.
        expected: what should have been there.
        found: what was there.
        hint: what the reader can do.
        begin_byte: begin of the range at fault, as closely as it is known.
        end_byte: end of the range; None if the file's length is not known.
        sample: the first bytes of the range, with control characters escaped.
    """

    run: str
    file: str
    reason: str
    json_path: str | None = None
    byte: int | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    begin_byte: int | None = None
    end_byte: int | None = None
    sample: str | None = None

    @property
    def summary(self) -> str:
        """Run, file and reason on one line."""
        return f"{Where(self.run, self.file or None)}: {self.reason}"

    @classmethod
    def from_error(cls, run: str, err: MagnetError) -> Self:
        """The value for an error, as reports and the cache hold it."""
        where = err.where or Where()
        return cls(
            run=run,
            file=where.file or "",
            reason=err.reason,
            json_path=where.json_path,
            byte=where.byte,
            expected=err.expected,
            found=err.found,
            hint=err.hint,
        )

    @property
    def where(self) -> Where:
        """The location of the fault."""
        return Where(self.run, self.file or None, self.json_path, self.byte)

    def __str__(self) -> str:
        """The text of the error that it was made from."""
        return _paragraph(self.where, (self.reason,), self.hint)


def _expectation(expected: str | None, found: str | None) -> str:
    parts = [f"expected {expected}" if expected else "", f"found {found}" if found else ""]
    return ", ".join(filter(None, parts)) + "." if any(parts) else ""


def _paragraph(where: Where | None, sentences: Iterable[str], hint: str | None) -> str:
    place = f"{where}:" if where and str(where) else ""
    lines = [*map(for_terminal, sentences), *map(for_terminal, (hint or "").split("\n"))]
    return "\n  ".join(filter(None, [place, *lines]))


def _nearest_or_first(name: str, known: list[str]) -> str:
    """A hint with the names that may have been meant; without any, with the first ones that there are."""
    if not known:
        return "It has none."
    return did_you_mean(name, known) or f"It has {len(known)} others: {_first(known)}."


def _first(names: list[str], count: int = 5) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")
