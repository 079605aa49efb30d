"""What can go wrong, and where it did.

    MagnetError
    ├── SourceNotFoundError    (FileNotFoundError)    no such file or folder
    │   └── NoRunsError                               it is there, but holds no run
    ├── BadFileError           (ValueError)           a file of a run that cannot be taken
    ├── CacheError                                    the cache
    │   ├── CacheDamagedError                         does not hold what was committed
    │   ├── CacheNotReadableError  (OSError)          cannot be read for now: rights, limits, a disk that fails
    │   ├── CacheNotWritableError  (OSError)          cannot be written: rights, disk full
    │   ├── CacheLockedError                          is being written by another process
    │   ├── CacheVersionError                         was written by another version
    │   ├── SnapshotExpiredError                      moved on; what was to be read is swept away
    │   └── RunNotCachedError                         does not have this run
    ├── SettingError           (ValueError)           a number that leaves nothing to work with
    ├── WorkersLostError       (RuntimeError)         processes that were to do the work are gone
    ├── ForkedError            (RuntimeError)         a fork left behind the threads that were to do the work
    ├── NotEnoughRunsError     (ValueError)           fewer runs than a draw needs
    ├── NotEnoughSamplesError  (RuntimeError)         fewer request states than a predictor asked for
    ├── FilterError            (TypeError)            a filter gave something else than it should
    ├── PredictionError        (ValueError)           a predictor gave something else than it should
    ├── JoinError              (ValueError)           rows that do not fit together as they were asked to
    ├── PanelError             (ValueError)           scores that make no panel: two for one cell, NaN, unequal items
    ├── FamilyNotFoundError    (LookupError)          a model whose family nobody has said
    ├── MissingPackageError    (ImportError)          an optional package that is needed for this
    ├── RestoreError           (ValueError)           a run cannot be restored where it was asked to be
    ├── ColumnNotFoundError    (ValueError)           no such column; offers the near name
    ├── FolderNotEmptyError    (FileExistsError)      there is something where a folder was to be written
    ├── FolderNotWritableError (OSError)              a folder that was to be written cannot be: rights, disk full
    └── UnsupportedError       (NotImplementedError)  MAGNET has it, this package does not

    MagnetWarning              (UserWarning)          done, but not all that was asked for

Bad data in a dump is a value (`Rejected`), a misuse of the package an exception.
"""

import difflib
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import msgspec

from magnet_arrow._text import for_terminal


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a dump, as exactly as it is known.

    Attributes:
        run: `suite/folder` of the run, or its folder as the user named it.
        file: name of the file in the run's folder.
        json_path: place in the file's JSON, such as `$[41].mean`.
        byte: offset in the file, from 0.
    """

    run: str | None = None
    file: str | None = None
    json_path: str | None = None
    byte: int | None = None

    def __str__(self) -> str:
        """The place in words; empty where nothing is known.

        >>> print(Where("mmlu:subject=anatomy", "stats.json", "$[41].mean", 18204))
        mmlu:subject=anatomy/stats.json, byte 18204, at $[41].mean
        """
        file = "/".join(part for part in (self.run, self.file) if part)
        byte = None if self.byte is None else f"byte {self.byte}"
        json_path = self.json_path and f"at {self.json_path}"
        return ", ".join(for_terminal(part) for part in (file, byte, json_path) if part)


class MagnetError(Exception):
    """Base of all errors of this package. Its text says where, what was expected, what was found, what to do.

    The text is safe to print: names and values from a dump may be passed in as they are.

    Attributes:
        message: one sentence; may be empty where `expected` and `found` say it all.
        where: the place in a dump.
        expected: what should have been there, to follow the word "expected".
        found: what was there, to follow the word "found".
        hint: what the reader can do about it, in whole sentences. Only here a line end stays one.

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
        """What went wrong, without the place and without the advice."""
        return " ".join(filter(None, (self.message, _expectation(self.expected, self.found))))

    def __str__(self) -> str:
        """The whole text, a line each for place, message, expectation and hint."""
        return _paragraph(self.where, (self.message, _expectation(self.expected, self.found)), self.hint)


class SourceNotFoundError(MagnetError, FileNotFoundError):
    """There is no such file or folder, or it is nothing that HELM writes."""


class NoRunsError(SourceNotFoundError):
    """The source is there, but no run was found in it."""


class BadFileError(MagnetError, ValueError):
    """A file of a run cannot be taken. Ingestion turns it into a `Rejected`, and the other runs go in."""


class CacheError(MagnetError):
    """Base of what can be wrong with a cache."""


class CacheDamagedError(CacheError):
    """A file of the cache is missing, has another size, or does not match its checksum."""


class CacheNotReadableError(CacheError, OSError):
    """A file of the cache cannot be read for now: no rights, too many open files, a failing disk. Nothing changed."""


class CacheNotWritableError(CacheError, OSError):
    """The cache cannot be written: no rights, read-only, or the disk is full."""


class CacheLockedError(CacheError):
    """Another process is committing to the cache and did not finish in time, or took the lock from this one."""


class CacheVersionError(CacheError):
    """The cache was written in a format that this version of the package does not read."""


class SnapshotExpiredError(CacheError):
    """A frame was kept past the grace time, and the files it wanted to read have been swept."""


class RunNotCachedError(CacheError):
    """The cache has no such run."""


class SettingError(MagnetError, ValueError):
    """A setting that nothing can be done with: too little memory, no workers, a negative number of runs."""


class WorkersLostError(MagnetError, RuntimeError):
    """Processes that were to take runs are gone, or can't be started. What was committed stays."""


class ForkedError(MagnetError, RuntimeError):
    """This process was forked from one whose threads it would need, and does not have."""


class NotEnoughRunsError(MagnetError, ValueError):
    """Fewer runs are left than the draw of train and evaluated runs needs."""


class NotEnoughSamplesError(MagnetError, RuntimeError):
    """The evaluated run has fewer request states than `num_eval_samples`."""


class FilterError(MagnetError, TypeError):
    """A filter on runs gave something else than it should."""


class PredictionError(MagnetError, ValueError):
    """A predictor gave something that is no prediction, or one that cannot be compared."""


class JoinError(MagnetError, ValueError):
    """Rows do not join as they were asked to: several values where one is needed, or no partner."""


class PanelError(MagnetError, ValueError):
    """Scores make no panel: two for one cell, NaN, items that are not the same for all models, or no scores at all."""

    @classmethod
    def among(cls, name: str, known: Iterable[str], what: str) -> Self:
        """The error for a model or an item that is not in a panel, with the nearest of those that are."""
        known = sorted(known)
        near = _near(str(name), known)
        hint = f"Did you mean {near}?" if near else f"It has {len(known)} others: {_first(known)}."
        return cls(f"The panel has no {what} {name!r}.", hint=hint)


class FamilyNotFoundError(MagnetError, LookupError):
    """Nobody has said of which family a model is."""


class MissingPackageError(MagnetError, ImportError):
    """An optional package is needed for this and is not installed."""


class RestoreError(MagnetError, ValueError):
    """A run cannot be restored to the place asked for: something is there, or it lies outside of the folder named."""


class ColumnNotFoundError(MagnetError, ValueError):
    """A table has no such column."""

    @classmethod
    def among(cls, name: str, known: Iterable[str], *, table: str, what: str = "column") -> Self:
        """The error for `name`, with the nearest of the `known` names; `what` it should be one of.

        Near are those of which it is the end, the shortest first; else those that are spelled alike.

        >>> print(ColumnNotFoundError.among("stats.maen", ["stats.mean", "stats.sum"], table="stats"))
        stats has no column 'stats.maen'.
          Did you mean 'stats.mean'?
        """
        known = sorted(known)
        near = _near(name, known)
        hint = f"Did you mean {near}?" if near else f"It has {len(known)} others: {_first(known)}."
        return cls(f"{table} has no {what} {name!r}.", hint=hint)


class FolderNotEmptyError(MagnetError, FileExistsError):
    """A folder that was to be written is there and holds something, or is a file."""


class FolderNotWritableError(MagnetError, OSError):
    """A folder that was to be written, not the cache, cannot be: no rights, read-only, or the disk is full."""


class UnsupportedError(MagnetError, NotImplementedError):
    """MAGNET has this and we do not; the text says what to use instead."""


class MagnetWarning(UserWarning):
    """Something was done in another way, or less of it, than was asked for."""


def warn(message: str) -> None:
    """Warn at the line outside of this package that led here: Python shows a text once a line."""
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, MagnetWarning, stacklevel=level)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was left out, and why: its first bad file decides. Of a partial run, what was left out of a file.

    Attributes:
        run: `suite/folder` of the run.
        file: the file that could not be taken; empty where it was the run as a whole.
        reason: what was expected and what was found, in whole sentences.
        json_path: place in the file's JSON, such as `$[41].mean`.
        byte: offset in the file, from 0.
        expected: what should have been there.
        found: what was there.
        hint: what the reader can do about it.
        begin_byte: where the range begins that is at fault, as closely as it is known.
        end_byte: where it ends; null where the file's length is not known.
        sample: the first bytes of that range, control characters escaped.
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

    @classmethod
    def from_error(cls, run: str, err: MagnetError) -> Self:
        """The value that stands for `err` in a report and in the cache."""
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
        """The place of the fault."""
        return Where(self.run, self.file or None, self.json_path, self.byte)

    def __str__(self) -> str:
        """The same text as that of the error it was made from."""
        return _paragraph(self.where, (self.reason,), self.hint)


def _expectation(expected: str | None, found: str | None) -> str:
    parts = [f"expected {expected}" if expected else "", f"found {found}" if found else ""]
    return ", ".join(filter(None, parts)) + "." if any(parts) else ""


def _paragraph(where: Where | None, sentences: Iterable[str], hint: str | None) -> str:
    place = f"{where}:" if where and str(where) else ""
    lines = [*map(for_terminal, sentences), *map(for_terminal, (hint or "").split("\n"))]
    return "\n  ".join(filter(None, [place, *lines]))


def _near(name: str, known: list[str]) -> str:
    """The names that may have been meant, with the shortest first; empty if there are none."""
    ends = sorted((other for other in known if other.endswith(f".{name}")), key=len)
    if not ends:
        ends = difflib.get_close_matches(name, known, n=1)
    if not ends:
        last = {other.rpartition(".")[2]: other for other in reversed(known)}
        ends = [last[end] for end in difflib.get_close_matches(name.rpartition(".")[2], last, n=1)]
    return " or ".join(map(repr, ends[:3]))


def _first(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
