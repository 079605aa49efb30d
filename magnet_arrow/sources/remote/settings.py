"""How buckets are read: which server, with whose credentials, how patiently. The one place for the defaults.

What a caller does not say (`remote_settings`), the environment says, in variables that other tools know too.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from magnet_arrow.errors import SettingError
from magnet_arrow.sources.remote import profiles

_MAX_TIMEOUT_S = 7 * 24 * 3600.0
_SERVER = re.compile(r"https?://(?:[^\s/@:?#\[\]]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?(?:/[^\s@?#]*)?")
_REGION = re.compile(r"[\w.-]+")
_SERVER_FORM = "https://HOST or http://HOST:PORT, without user and password"
_AMAZON_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """How buckets are read. What is None is left to the environment.

    Attributes:
        endpoint: the address of a server of buckets.
        region: of `s3://`.
        profile: of `s3://`, a name in the files of Amazon's command line; its keys sign if a request must be signed.
        retries: how often a request is repeated that failed for a moment.
        timeout_s: how long a store may send no byte before a request counts as failed.
        connections: how many objects all processes together fetch at once.

    Raises:
        SettingError: a value is impossible.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    retries: int = 4
    timeout_s: float = 60.0
    connections: int = 32

    def __post_init__(self) -> None:
        for name, expected in _NUMBERS.items():
            if not _is_possible(name, value := getattr(self, name)):
                raise SettingError(f"{name}:", expected=expected, found=repr(value))
        if self.endpoint is not None:
            _checked_server("endpoint", self.endpoint)
        if self.region is not None:
            _checked_region("region", self.region)
        if self.profile is not None:
            profiles.read("profile", self.profile)

    @property
    def n_attempts(self) -> int:
        """How often something is asked for that a store does not give for a moment."""
        return self.retries + 1


_NUMBERS = {
    "retries": "a whole number, 0 or more",
    "timeout_s": f"seconds, more than 0 and at most {_MAX_TIMEOUT_S:.0f}",
    "connections": "a whole number, 1 or more",
}
_VARIABLES = {
    "retries": "MAGNET_ARROW_RETRIES",
    "timeout_s": "MAGNET_ARROW_TIMEOUT",
    "connections": "MAGNET_ARROW_CONNECTIONS",
}


def _is_possible(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "timeout_s":
        return 0 < value <= _MAX_TIMEOUT_S
    return isinstance(value, int) and value >= (name == "connections")


_given: ContextVar[RemoteSettings | None] = ContextVar("given", default=None)


@contextlib.contextmanager
def remote_settings(
    *,
    endpoint: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    retries: int | None = None,
    timeout_s: float | None = None,
    connections: int | None = None,
) -> Iterator[None]:
    """Within the context, buckets are read with these settings in place of those of the environment.

    They hold for whatever is called in it: listing, `ingest`, frames of runs, `verify`; its worker processes too.
    Credentials are no settings: they come from the environment, or from the files of a profile.

    Args:
        endpoint: another server than Amazon's or Google's, such as `http://localhost:9000`. By default
            `AWS_ENDPOINT_URL` for `s3://`, `STORAGE_EMULATOR_HOST` for `gs://`.
        region: of `s3://`; by default `AWS_REGION`, else the profile's, else `us-east-1`.
        profile: of `s3://`, a profile in `~/.aws/config` or `~/.aws/credentials`, whose keys sign a request that is
            refused without a signature; by default `AWS_PROFILE`.
        retries: how often a request is repeated that failed for a moment; by default `MAGNET_ARROW_RETRIES`, else 4.
        timeout_s: after so many seconds without a byte of the answer, a request has failed; by default
            `MAGNET_ARROW_TIMEOUT`, else 60.
        connections: how many objects all processes together fetch at once; by default `MAGNET_ARROW_CONNECTIONS`, else
            32.

    Raises:
        SettingError: a value is impossible, or there is no such profile.

    >>> import magnet_arrow
    >>> with magnet_arrow.remote_settings(endpoint="http://localhost:9000", retries=0):
    ...     pass  # magnet_arrow.ingest("s3://bucket/runs")
    >>> with magnet_arrow.remote_settings(connections=0):
    ...     pass
    Traceback (most recent call last):
    magnet_arrow.errors.SettingError: connections:
      expected a whole number, 1 or more, found 0.
    """
    said: dict[str, Any] = {
        "endpoint": endpoint,
        "region": region,
        "profile": profile,
        "retries": retries,
        "timeout_s": timeout_s,
        "connections": connections,
    }
    with using(replace(current(), **{name: value for name, value in said.items() if value is not None})):
        yield


@contextlib.contextmanager
def using(settings: RemoteSettings | None) -> Iterator[None]:
    """Within the context, these settings hold; None changes nothing."""
    before = _given.set(given() if settings is None else settings)
    try:
        yield
    finally:
        _given.reset(before)


def use(settings: RemoteSettings | None) -> None:
    """Let settings hold in this thread from now on: in a process or thread that was started for a caller."""
    _given.set(settings)


def given() -> RemoteSettings | None:
    """The settings of the nearest context; None if there is none, and the environment alone says them."""
    return _given.get()


def current() -> RemoteSettings:
    """The settings that hold.

    Raises:
        SettingError: the environment has an impossible number.
    """
    return _given.get() or _of_environment(*map(os.environ.get, _VARIABLES.values()))


@lru_cache(maxsize=8)
def _of_environment(*texts: str | None) -> RemoteSettings:
    found = zip(_VARIABLES, texts, strict=True)
    return RemoteSettings(**{name: _number(name, text) for name, text in found if text})


def _number(name: str, text: str) -> Any:
    try:
        value = float(text) if name == "timeout_s" else int(text)
    except ValueError:
        value = None
    if value is None or not _is_possible(name, value):
        raise SettingError(f"{_VARIABLES[name]}:", expected=_NUMBERS[name], found=repr(text))
    return value


def endpoint(scheme: str) -> str:
    """The server that is named for a kind of store; empty for Amazon's or Google's own.

    Raises:
        SettingError: it is no address of a server; or something is said about `gs://` that only `s3://` has.
    """
    settings = current()
    if scheme == "gs":
        _require_nothing_of_s3(settings)
    if settings.endpoint is not None:
        return settings.endpoint.rstrip("/")
    for variable in ("STORAGE_EMULATOR_HOST",) if scheme == "gs" else ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if found := os.environ.get(variable, ""):
            return _checked_server(variable, found if "://" in found else f"http://{found}")
    profile = None if scheme == "gs" else profile_of_s3()
    return _checked_server(f"endpoint_url of {profile}", profile.endpoint) if profile and profile.endpoint else ""


def _require_nothing_of_s3(settings: RemoteSettings) -> None:
    for name, variable in (("profile", "AWS_PROFILE"), ("region", "AWS_REGION")):
        if getattr(settings, name) is not None:
            hint = f"For a mixture of both, set {variable} in place of it."
            raise SettingError(f"{name}:", expected="s3://, which alone has one", found="gs://", hint=hint)


def region() -> str:
    """The region of `s3://`.

    Raises:
        SettingError: it is none.
    """
    settings = current()
    if settings.region is not None:
        return settings.region
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if found := os.environ.get(variable):
            return _checked_region(variable, found)
    profile = profile_of_s3()
    return _checked_region(f"region of {profile}", profile.region) if profile and profile.region else _AMAZON_REGION


def profile_of_s3() -> profiles.Profile | None:
    """The profile that is named; None if none is.

    Raises:
        SettingError: there is no such profile.
    """
    if (name := current().profile) is not None:
        return profiles.read("profile", name)
    return profiles.read("AWS_PROFILE", name) if (name := os.environ.get("AWS_PROFILE")) else None


def _checked_server(setting: str, server: str) -> str:
    """A server's address, by which obstore would end in a panic if it is none. A password in it is not shown."""
    if not _SERVER.fullmatch(server):
        found = "another text" if re.search("[@?]", server) else repr(server)
        raise SettingError(f"{setting}:", expected=_SERVER_FORM, found=found)
    return server.rstrip("/")


def _checked_region(setting: str, region: str) -> str:
    if not _REGION.fullmatch(region):
        raise SettingError(f"{setting}:", expected="a name such as eu-central-1", found=repr(region))
    return region
