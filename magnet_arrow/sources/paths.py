"""Paths that a user gives, made absolute at once, with the home folder for `~`."""

import os
import re
from pathlib import Path

from magnet_arrow.errors import SettingError

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
        raise SettingError(f"{what} is a folder on this machine, not {text}.")
    folder = absolute(text)
    try:
        os.fspath(folder).encode("utf-8")
    except UnicodeEncodeError:
        hint = "Name another folder, or under a locale without UTF-8 set PYTHONUTF8=1."
        raise SettingError(f"{what} cannot be in {folder}, whose name is no UTF-8.", hint=hint) from None
    return folder
