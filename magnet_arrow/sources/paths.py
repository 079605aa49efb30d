"""Paths that a user gives, made absolute at once, with the home folder for `~`."""

import os
import re
import stat
from pathlib import Path

from magnet_arrow._text import of_system
from magnet_arrow.errors import BadFileError, SettingError, SourceNotFoundError, Where
from magnet_arrow.sources.remote.urls import without_password

CACHE_DIR_VARIABLE = "MAGNET_ARROW_CACHE_DIR"
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/{1,2}")  # `Path` makes one slash of two


def absolute(path: str | os.PathLike[str]) -> Path:
    """The same folder wherever the process is later. Links stay as they are.

    Raises:
        SettingError: it begins with the name of a user that there is not.
    """
    text = os.path.expanduser(os.fspath(path))
    if text.startswith("~"):
        raise SettingError(f"{text} begins with the home of a user that is not known.", hint=f"Write ./{text}.")
    return Path(text).absolute()


def readable_file(path: str | os.PathLike[str]) -> Path:
    """A file that a person names, absolute, after a check that it can be opened.

    Raises:
        SourceNotFoundError: there is no such file.
        BadFileError: it cannot be opened; says why.
    """
    file = absolute(path)
    try:
        mode = file.stat().st_mode
        if stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            with file.open("rb"):
                return file
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: its name holds a NUL
        shown = without_password(os.fspath(path)) if _URL.match(os.fspath(path)) else file
        raise SourceNotFoundError(f"There is no file {shown}.") from None
    except OSError as error:
        raise BadFileError(f"{file} cannot be read: {of_system(error)}.") from error
    raise SourceNotFoundError(
        "", where=Where(file=str(file)), expected="a file", found=_KINDS.get(stat.S_IFMT(mode), "a device")
    )


def cache_folder(path: str | os.PathLike[str] | None) -> Path:
    """The folder of a cache: as given, else `$MAGNET_ARROW_CACHE_DIR`, else in the platform's place for caches.

    Raises:
        SettingError: as of `own_folder`.
    """
    if path is None:
        path = os.environ.get(CACHE_DIR_VARIABLE) or _default_cache()
    return own_folder(path, "The cache")


def _default_cache() -> Path:
    import platformdirs  # few need it: most name a cache

    return platformdirs.user_cache_path("magnet_arrow") / "cache"


def own_folder(path: str | os.PathLike[str], what: str) -> Path:
    """The folder of a cache, or one that is to be written, absolute.

    Args:
        path: as it was given.
        what: what it is for, to begin a sentence with.

    Raises:
        SettingError: Arrow and Polars cannot open files there: its name is no UTF-8, or it is on another machine.
    """
    text = os.fspath(path)
    if _URL.match(text) and os.name != "nt" and not os.path.exists(text):
        raise SettingError(f"{what} is a folder on this machine, not {without_password(text)}.")
    folder = absolute(text)
    try:
        os.fspath(folder).encode("utf-8")
    except UnicodeEncodeError:
        hint = "Name another folder, or under a locale without UTF-8 set PYTHONUTF8=1."
        raise SettingError(f"{what} cannot be in {folder}, whose name is no UTF-8.", hint=hint) from None
    return folder
