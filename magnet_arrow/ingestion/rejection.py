"""Why a run is not ingested: the errors, and what a report and the cache keep of them."""

from pathlib import Path

import msgspec

from magnet_arrow._text import for_terminal
from magnet_arrow.errors import BadFileError, Rejected, Where
from magnet_arrow.helm.run_place import is_utf8
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint, SourceFile

_SAMPLE_BYTES = 40


class ReadModeError(Exception):
    """The run must be read again, streamed.

    A compressed file holds more than a block, a file ends early, or a file is not in HELM's layout or is no JSON.

    Attributes:
        salvage: the files that end early.
        by_layout: whether HELM's layout may be trusted; if not, files are scanned.
    """

    def __init__(self, salvage: frozenset[str] = frozenset(), *, by_layout: bool = True) -> None:
        super().__init__()
        self.salvage = salvage
        self.by_layout = by_layout


class StrictError(BadFileError):
    """A run has what HELM does not declare, and the rules are strict: else it would be kept and reported."""


class ChangedError(BadFileError):
    """A file changed while the run was read; it may be complete at the next try."""


class PicturesError(BadFileError):
    """A file embeds pictures, which the rules exclude."""


def not_read(run: str, why: str, hint: str) -> BadFileError:
    """The error for a run that could not be read, though its files are not the reason."""
    return BadFileError(f"It could not be read: {why}.", where=Where(run), hint=hint)


def unfit(run: str, folder: Path, stamps: Fingerprint) -> BadFileError | None:
    """The error for a run or suite that cannot be ingested whatever its files hold; None if it can.

    The cache never remembers it: such names fit in no manifest, and permissions change.
    """
    for stamp in stamps:
        if not is_utf8(stamp.name):
            hint = "Rename the file, or under a locale without UTF-8 set PYTHONUTF8=1. Nothing of it was ingested."
            return BadFileError("Its name is no UTF-8.", where=Where(run, stamp.name), hint=hint)
    if not stamps:
        try:
            filesystem.require_listing(folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            return not_read(run, f"its folder cannot be listed ({error.strerror})", "Make it readable.")
    return None


def said(error: BaseException) -> str:
    """An exception in words."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def changed(run: str, before: Fingerprint, now: Fingerprint) -> ChangedError:
    """The error for a run whose files changed while it was read."""
    names = sorted({stamp.name for stamp in set(before) ^ set(now)})
    return ChangedError(
        "",
        where=Where(run=run, file=names[0]),
        expected="a run that stays as it is while it is read",
        found="that the file was changed meanwhile",
        hint="Ingest again when whatever writes to it is done.",
    )


def rejected_of(run: str, folder: Path, error: BadFileError) -> Rejected:
    """The value that a report keeps of an error, with the bytes of the file at that place."""
    rejected = Rejected.from_error(run, error)
    where = rejected.where
    if not where.file or where.byte is None:
        return rejected
    begin = max(0, where.byte - _SAMPLE_BYTES)
    data = bytes_at(folder, where, begin)
    return msgspec.structs.replace(
        rejected, begin_byte=begin, end_byte=begin + len(data), sample=escaped(data) if data else None
    )


def bytes_at(folder: Path, where: Where, begin: int) -> bytes:
    """Some bytes of a file as it is now; none if it can no longer be read."""
    room = bytearray(2 * _SAMPLE_BYTES)
    try:
        with SourceFile(folder, where.file or "", where.run or "") as file:
            file.skip(begin)
            return bytes(room[: file.read_into(memoryview(room))])
    except BadFileError:
        return b""


def escaped(data: bytes) -> str:
    """Bytes of a file as text to show."""
    return for_terminal(data.decode("utf-8", "backslashreplace"))
