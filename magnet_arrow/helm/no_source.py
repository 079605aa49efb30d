"""Errors for a source that does not exist or is no dump: what was found instead, and what to do."""

import os
import re
import shlex
from pathlib import Path

from magnet_arrow._near_names import did_you_mean_pattern, near_names, nearest_first
from magnet_arrow.errors import NoRunsError, SourceNotFoundError
from magnet_arrow.helm.run_place import MARK, RUNS
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.remote import urls


def existing_folder(path: str) -> str:
    """The real path of a folder that must exist.

    Raises:
        SourceNotFoundError: it does not exist, or is a file.
    """
    if filesystem.is_folder(path):
        return filesystem.real_path(path)
    if filesystem.exists(path):
        raise _a_file(path)
    if filesystem.is_link(path):
        raise SourceNotFoundError(f"{path} is a link that leads nowhere (to {filesystem.link_target(path)}).")
    raise _not_there(path)


def url_of(path: str) -> str | None:
    """The URL of a bucket that a path is, in its one spelling; None if it is a path of this machine.

    Raises:
        SourceNotFoundError: it is another URL.
    """
    found = _URL.match(path)
    if found is None or (not filesystem.is_remote(path) and filesystem.exists(path)):
        return None
    if (url := urls.url_of(path)) is not None:
        return url
    scheme, rest = found[1].lower(), urls.without_password(path)[found.end() :]
    raise SourceNotFoundError(
        f"{scheme}://{rest} cannot be read.",
        expected="a folder on this machine, s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or helm://BENCHMARK",
        hint=f"Copy it first, then name the copy:\n    {_copy_line(scheme, rest)}",
    )


_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}")  # `Path` makes one slash of two


def _copy_line(scheme: str, rest: str) -> str:
    if scheme in ("http", "https", "ftp"):
        return f"wget --recursive --no-parent {shlex.quote(f'{scheme}://{rest}')}"
    if scheme == "file":
        path = "/" + rest.lstrip("/")
        return f"cp -r {shlex.quote(path)} FOLDER"
    return f"rclone copy {shlex.quote(f'{scheme}:{rest}')} FOLDER"


_ARCHIVES = {".zip": "unzip {} -d FOLDER", ".7z": "7z x {} -oFOLDER", ".rar": "unrar x {} FOLDER/"}
_TAR = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)


def _a_file(path: str) -> SourceNotFoundError:
    unpack = _unpack_line(path)
    if unpack is not None:
        return SourceNotFoundError(
            f"{path} is an archive.",
            expected="a folder: an outputs folder, its runs, a suite or a run",
            hint=f"Unpack it first, then name the folder:\n    {unpack}",
        )
    return SourceNotFoundError(
        f"{path} is a file.",
        expected="a folder: an outputs folder, its runs, a suite or a run",
        hint=f"Did you mean {os.path.dirname(path) or os.curdir}?",
    )


def _unpack_line(path: str) -> str | None:
    """The command that unpacks an archive; None for any other file."""
    begin = _first_bytes(path)
    quoted = shlex.quote(path)
    ending = os.path.splitext(path)[1].lower()
    if begin.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        ending = ".zip"
    if ending in _ARCHIVES:
        return _ARCHIVES[ending].format(quoted)
    if _TAR.search(path) or begin[257:262] == b"ustar":
        return f"mkdir -p FOLDER && tar -xf {quoted} -C FOLDER"
    return None


def _first_bytes(path: str) -> bytes:
    try:
        return filesystem.first_bytes(path, 512) if filesystem.is_file(path) else b""  # a pipe would never answer
    except OSError:
        return b""


def not_one_dump(path: str, folder: Path, below: list[Path], sources: list[Path]) -> SourceNotFoundError:
    """The error for a folder that should be one outputs folder, and is none or several."""
    if below:
        return SourceNotFoundError(
            f"{path} holds several dumps.",
            expected="one outputs folder",
            found=in_words([str(source) for source in below], "folder"),
            hint="Name one of them.",
        )
    return SourceNotFoundError(
        f"{path} is no outputs folder.",
        expected=f"a folder that holds {RUNS}/<suite>/<run>/{MARK}",
        found="a part of one" if sources else _contents(str(folder)),
        hint=f"Did you mean {sources[0]}?" if sources else None,
    )


def _not_there(path: str) -> SourceNotFoundError:
    """The error for a path that does not exist, with what its nearest parent holds."""
    missing = filesystem.as_path(path)
    while not filesystem.is_folder(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        names = nearest_first(missing.name, sorted(filesystem.names(missing.parent)))
    except (OSError, ValueError):
        names = []
    near = [missing.parent / name for name in near_names(missing.name, names)[:1]]
    with_rest = [folder / Path(path).relative_to(missing) for folder in near]
    return SourceNotFoundError(
        f"There is no {path!r}.",
        expected="a path to an outputs folder, its runs, a suite or a run, or a glob pattern",
        found=f"in {missing.parent}: {in_words(names, 'entry', 'entries')}",
        hint=next((f"Did you mean {one}?" for one in (*with_rest, *near) if filesystem.exists(str(one))), None),
    )


def no_runs_in(path: str, folder: str, notes: list[str]) -> NoRunsError:
    """The error for a folder without runs."""
    return NoRunsError(
        f"No run in {path}.",
        expected=f"folders that hold {MARK}",
        found=_contents(folder),
        hint=" ".join(notes[:5]) or None,
    )


def no_match_in(folder: Path, pattern: str) -> str:
    """What is in a folder in which nothing matches a pattern, in words; the nearest names first."""
    try:
        names = nearest_first(pattern, sorted(filesystem.names(folder)))
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"
    return f"in {folder}: {in_words(names, 'entry', 'entries')}"


def no_runs_left(pattern: str, folders: list[str], rejected: list[str]) -> NoRunsError:
    """The error for sources without runs, or for a pattern that matches none of their folders."""
    if not folders and rejected:
        return NoRunsError("No run is left.", expected=f"folders that hold {MARK}", hint=" ".join(rejected[:5]))
    if not folders:
        return NoRunsError("No run was given.", expected="a path, a pattern, or runs", found="none")
    return NoRunsError(
        f"No run matches {pattern!r}.",
        expected="a pattern of run folders' names",
        found=in_words(nearest_first(pattern, folders), "run"),
        hint=did_you_mean_pattern(pattern, set(folders)) or None,
    )


def _contents(folder: str) -> str:
    try:
        return in_words(sorted(filesystem.names(folder)), "entry", "entries")
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"


def in_words(names: list[str], one: str, many: str | None = None, max_names: int = 5) -> str:
    """A count and the first few names: `7 runs (a, b, c, d, e, …)`."""
    if not names:
        return f"no {one}"
    count = f"{len(names)} {one if len(names) == 1 else many or one + 's'}"
    return f"{count} ({', '.join(names[:max_names])}{', …' if len(names) > max_names else ''})"
