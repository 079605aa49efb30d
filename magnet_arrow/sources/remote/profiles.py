"""Profiles of Amazon's command line: keys, region and server, from its two files.

Keys go from here to the store that signs with them, and nowhere else: no text or error of ours has one.
"""

import configparser
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from magnet_arrow.errors import SettingError

CONFIG, CREDENTIALS = "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"
"""Variables that name the two files."""
_PLACES = {CONFIG: "~/.aws/config", CREDENTIALS: "~/.aws/credentials"}
_SECTION = re.compile(r"profile\s+([\"']?)(.+)\1")
_ID, _SECRET, _TOKEN = "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
_OTHER_WAYS = {
    "role_arn": "takes a role",
    "sso_session": "signs in by SSO",
    "sso_start_url": "signs in by SSO",
    "credential_process": "asks a program for keys",
}
"""Entries of a profile that get their keys in another way."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile.

    Attributes:
        name: its name.
        region: empty if it says none.
        endpoint: a server; empty if it says none.
        keys: what signs: id, secret, and perhaps a token; None if it has none.
        why_no_keys: what it has in their place.
    """

    name: str
    region: str = ""
    endpoint: str = ""
    keys: tuple[str, str, str | None] | None = field(default=None, repr=False)
    why_no_keys: str = ""

    def __str__(self) -> str:
        """What it is called in messages."""
        return f"the profile {self.name!r}"


def read(setting: str, name: str) -> Profile:
    """A profile, as the files have it now.

    Args:
        setting: by which it is named.
        name: its name.

    Raises:
        SettingError: there is no such profile, or a file cannot be read.
    """
    sections = [_sections(variable, *_state(_path(variable))) for variable in (CONFIG, CREDENTIALS)]
    names = sorted({known for found in sections for known in found})
    if name not in names:
        raise _unknown(setting, name, names)
    config, credentials = (found.get(name, {}) for found in sections)
    way = next((text for entry, text in _OTHER_WAYS.items() if config.get(entry)), "")
    keys = None if config.get("role_arn") else _keys(credentials) or _keys(config)
    why = "" if keys else way or "has no keys"
    both = {**config, **credentials}
    return Profile(name, both.get("region", ""), both.get("endpoint_url", ""), keys, why)


def _unknown(setting: str, name: str, names: list[str]) -> SettingError:
    if names:
        return SettingError.among(setting, name, names)
    found = f"{name!r}, and no profile in {' or '.join(map(_path, _PLACES))}"
    return SettingError(f"{setting}:", expected="a profile of Amazon's command line", found=found)


def _keys(entries: Mapping[str, str]) -> tuple[str, str, str | None] | None:
    if entries.get(_ID) and entries.get(_SECRET):
        return entries[_ID], entries[_SECRET], entries.get(_TOKEN) or None
    return None


def _path(variable: str) -> str:
    return os.path.expanduser(os.environ.get(variable) or _PLACES[variable])


def _state(path: str) -> tuple[str, int, int]:
    """A path, and what tells whether the file there has changed."""
    try:
        status = os.stat(path)
    except OSError:
        return path, 0, 0
    return path, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _sections(variable: str, path: str, mtime_ns: int, size_bytes: int) -> dict[str, dict[str, str]]:
    """The entries of each profile in a file; nothing if there is no such file."""
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read.", found=error.strerror or "an error") from None
    except (configparser.Error, UnicodeDecodeError) as error:  # whose text has lines of the file, so perhaps a key
        raise SettingError(
            f"{path} cannot be read{_line(error)}.", expected="an INI file, as `aws configure` writes"
        ) from None
    found: dict[str, dict[str, str]] = {}
    for section in parser.sections():
        named = _SECTION.fullmatch(section) if variable == CONFIG else None
        if named is not None or variable == CREDENTIALS or section == "default":
            found.setdefault(named[2] if named else section, {}).update(parser.items(section))
    return found


def _line(error: Exception) -> str:
    first = next(iter(getattr(error, "errors", ())), (None, ""))
    number = getattr(error, "lineno", first[0])
    return f" (line {number})" if number else ""
