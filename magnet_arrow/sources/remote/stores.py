"""The stores that buckets are read from, by obstore.

Requests are anonymous first. Credentials are used where there are some and an anonymous request was refused: those of
the environment, which obstore reads itself, or of a profile. Nothing here keeps or shows them.
"""

import http.client
import os
import random
import re
import shlex
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from magnet_arrow._optional import optional_module
from magnet_arrow.errors import RemoteError
from magnet_arrow.sources.remote import settings
from magnet_arrow.sources.remote.profiles import Profile
from magnet_arrow.sources.remote.settings import RemoteSettings
from magnet_arrow.sources.remote.urls import Address

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_SERVERS = {"s3": "https://s3.{}.amazonaws.com", "gs": "https://storage.googleapis.com"}
_CREDENTIALS = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
}
"""Variables of which one is set if the environment has credentials."""
_CONNECT_S = 20.0
_WITHOUT_END = timedelta(days=7)
"""Of a request as a whole, which may bring a large object."""
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_FIRST_PAUSE_S, _MAX_PAUSE_S, _MAX_ASKED_S = 0.1, 10.0, 120.0
_OF_PROXIES = tuple(name for lower in (*sorted(_PROXIES), "no_proxy") for name in (lower, lower.upper()))
"""Variables that obstore looks at when a store is made, and `urllib` when an opener is."""
_PASSING = frozenset({408, 429, *range(500, 600)})
_STATUS = re.compile(r"non-2xx status code: (\d+) ?([A-Za-z -]*)")
_REFUSED = frozenset({401, 403})
_WITHOUT_LOCATION = "redirect without LOCATION"
"""So obstore calls a 301 by which Amazon says that a bucket is in another region."""
_BUCKETS_REGION = re.compile(r"<Region>([\w-]+)</Region>")
_CAUSE, _REASON = "\n\nDebug source:", re.compile(r'(?:error|message): "([^"]+)"')
"""Where obstore says why there was no answer."""


def package() -> Any:
    """The module obstore.

    Raises:
        MissingPackageError: it is not installed.
    """
    return optional_module("obstore", "Reading from a bucket needs obstore.", extra="remote")


class _Place(NamedTuple):
    """A bucket on a server, as it is read now."""

    scheme: str
    bucket: str
    server: str
    region: str
    settings: RemoteSettings
    proxies: tuple[str | None, ...]


def _place(address: Address) -> _Place:
    server = settings.endpoint(address.scheme)
    region = settings.region() if address.scheme == "s3" else ""
    return _Place(*address[:2], server, region, settings.current(), tuple(map(os.environ.get, _OF_PROXIES)))


class Stores:
    """The store of each bucket, made when it is first needed."""

    def __init__(self) -> None:
        self._stores: dict[tuple[_Place, bool, bool], ObjectStore] = {}
        self._signed: set[_Place] = set()
        self._lock = threading.Lock()

    def of(self, address: Address, *, retries: bool = False, signed: bool = False) -> "ObjectStore":
        """The store of a bucket, as the settings say now.

        Args:
            address: of the bucket, or of something in it.
            retries: have obstore repeat requests by itself.
            signed: sign requests, also if those to the bucket are not signed in general.
        """
        place = _place(address)
        key = (place, signed or place in self._signed, retries)
        with self._lock:
            if key not in self._stores:
                self._stores[key] = _new_store(*key)
            return self._stores[key]

    def is_signed(self, address: Address) -> bool:
        """Whether requests to a bucket are signed."""
        return bool(self._signed) and _place(address) in self._signed

    def may_sign(self, address: Address, error: Exception, *, was_signed: bool) -> bool:
        """Whether a refused request is worth another try with a signature."""
        return not was_signed and status_of(error)[0] in _REFUSED and _credentials(address.scheme) is not None

    def sign(self, address: Address) -> None:
        """Sign all requests to a bucket from now on."""
        self._signed.add(_place(address))

    def do_not_sign(self, address: Address) -> None:
        """Begin requests to a bucket without a signature again; the next one may be with other credentials."""
        place = _place(address)
        self._signed.discard(place)
        with self._lock:
            self._stores = {key: store for key, store in self._stores.items() if key[:2] != (place, True)}


def _new_store(place: _Place, signed: bool, retries: bool) -> "ObjectStore":
    package()
    from obstore.store import GCSStore, S3Store

    client = _client_options(place)
    options: dict[str, Any] = {"client_options": client, "retry_config": _retries(place.settings if retries else None)}
    options["skip_signature"] = not signed
    if place.scheme == "gs":
        # Objects that are stored packed come as they are stored, so that their size and checksum are those listed.
        client["default_headers"] = {"accept-encoding": "gzip"}
        return GCSStore(place.bucket, **options | ({"base_url": place.server} if place.server else {}))
    server = place.server or _SERVERS["s3"].format(place.region)
    credentials = _credentials("s3") if signed else None
    if isinstance(credentials, Profile):
        options["credential_provider"] = _Keys(credentials)
    # Both names of the endpoint: obstore would prefer AWS_ENDPOINT_URL_S3 of the environment to the first.
    return S3Store(place.bucket, region=place.region, endpoint=server, aws_endpoint_url_s3=server, **options)


def _client_options(place: _Place) -> dict[str, Any]:
    timeout_s = place.settings.timeout_s
    return {
        "timeout": _WITHOUT_END,
        "read_timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, _CONNECT_S)),
        "allow_http": place.server.startswith("http://"),
    }


def _retries(asked: RemoteSettings | None) -> Any:
    """How obstore repeats requests by itself, such as those for a listing; it gives up when the time is over.

    Objects are asked for again by `fetching`, which knows how much it has of them.
    """
    if asked is None:
        return {"max_retries": 0}
    time = timedelta(seconds=min(asked.n_attempts * (asked.timeout_s + _MAX_PAUSE_S), _WITHOUT_END.total_seconds()))
    return {"max_retries": asked.retries, "retry_timeout": time}


class _Keys:
    """Gives obstore the keys of a profile when it signs."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def __call__(self) -> Any:
        assert self._profile.keys is not None
        key_id, secret, token = self._profile.keys
        return {"access_key_id": key_id, "secret_access_key": secret, "token": token, "expires_at": None}


def _credentials(scheme: str) -> str | Profile | None:
    """What signs: a variable of the environment, or a profile; None if there is nothing.

    As in Amazon's tools, a profile that the caller names comes before keys in the environment, and these before
    `AWS_PROFILE`.
    """
    variable = next((name for name in _CREDENTIALS[scheme] if os.environ.get(name)), None)
    if scheme == "gs":
        return variable
    profile = settings.profile_of_s3()
    has_keys = profile is not None and profile.keys is not None
    if variable is not None and not (has_keys and settings.current().profile is not None):
        return variable
    return profile if has_keys else None


def status_of(error: Exception) -> tuple[int | None, str]:
    """The HTTP status in an error of obstore, and its name; None if the store did not answer at all."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code, error.reason
    if _WITHOUT_LOCATION in str(error):
        return 301, "Moved Permanently"
    found = _STATUS.search(str(error))
    return (int(found[1]), found[2].strip()) if found else (None, "")


def is_passing(error: Exception) -> bool:
    """Whether a request that failed may succeed a moment later."""
    status = status_of(error)[0]
    return status is None or status in _PASSING


def is_busy(error: Exception) -> bool:
    """Whether a store refused a request since there are too many."""
    return status_of(error)[0] in (429, 503)


def pause_s(attempt: int, asked_s: float | None = None) -> float:
    """How long to wait after a failed attempt; at least as long as the store asked for, within reason."""
    pause = min(_MAX_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)
    return float(max(pause, min(asked_s or 0.0, _MAX_ASKED_S)))


def retry_after_s(error: Exception) -> float | None:
    """How long a store asks to wait, by the header of its answer: so many seconds, or until a date (RFC 9110)."""
    asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    if asked.isdecimal():
        return float(asked)
    try:
        return (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None


def open_url(request: urllib.request.Request) -> Any:
    """The answer to a request that obstore cannot make, by the proxy that the environment names now."""
    return urllib.request.build_opener().open(request, timeout=settings.current().timeout_s)


def ask_for_pause(address: Address) -> float | None:
    """How long a store asks to wait that is busy. Obstore does not show it, so the object is asked about once more."""
    request = urllib.request.Request(url_of(address), method="HEAD")
    try:
        with open_url(request):
            return None
    except (OSError, http.client.HTTPException) as error:
        return retry_after_s(error)


def url_of(address: Address) -> str:
    """The address of an object in the web."""
    return f"{server_of(address.scheme)}/{address.bucket}/{urllib.parse.quote(address.key)}"


def server_of(scheme: str) -> str:
    """The address of the server that is asked."""
    if server := settings.endpoint(scheme):
        return server
    return _SERVERS["s3"].format(settings.region()) if scheme == "s3" else _SERVERS["gs"]


def asked_server(scheme: str) -> str | None:
    """A sentence that says which server was asked, and what to do if it is another; None for Google's own."""
    if server := settings.endpoint(scheme):
        return f"{server} was asked for it."
    if scheme == "gs":
        return None
    other = "Use remote_settings(endpoint='URL'), or set AWS_ENDPOINT_URL, if it is on another server."
    return f"Amazon was asked for it. {other}"


def remote_error(address: Address, error: Exception, attempts: int = 1) -> RemoteError:
    """The error for a request that a store did not answer as it should."""
    status, name = status_of(error)
    if status is not None:
        return RemoteError.of(
            address.url,
            f"{status} {name}".strip(),
            status=status,
            attempts=attempts,
            hint=_hint(address, status, error),
        )
    text, _, cause = str(error).partition(_CAUSE)
    said = [*_REASON.findall(cause), text.rpartition(" - ")[2].strip() or type(error).__name__][0]
    if isinstance(error, http.client.InvalidURL):  # its text may be a part of a password
        said = "an address with an impossible port"
    return RemoteError.of(address.url, f"no answer ({said})", attempts=attempts, hint=_hint_without_answer())


def _hint_without_answer() -> str:
    named = [name for name in os.environ if name.lower() in _PROXIES and os.environ[name]]
    proxy = f" Does {' or '.join(sorted(named))} name a proxy that works?" if named else ""
    return f"Is the network up, and the endpoint right?{proxy}"


def _hint(address: Address, status: int, error: Exception) -> str | None:
    credentials = _credentials(address.scheme)
    if status not in _REFUSED:
        if address.scheme == "gs" or status not in (301, 400):
            return None
        if (region := _other_region(address, error)) is not None:
            return f"The bucket is in another region. Use remote_settings(region='{region}'), or set AWS_REGION."
        return f"The credentials of {credentials} may have expired." if credentials else None
    if credentials is not None:
        return f"The credentials of {credentials} may not read this bucket."
    begin = "It is not public, or is no such bucket."
    if address.scheme == "gs":
        return f"{begin} Set {_CREDENTIALS['gs'][0]} to read it with your own credentials."
    profile = settings.profile_of_s3()
    if profile is None:
        variables = "AWS_PROFILE or AWS_ACCESS_KEY_ID"
        return f"{begin} Use remote_settings(profile='NAME'), or set {variables}, to read it with your own credentials."
    return (
        f"{begin} There are no keys to sign with: {profile} {profile.why_no_keys}. This sets them:\n"
        f'    eval "$(aws configure export-credentials --profile {shlex.quote(profile.name)} --format env)"'
    )


def _other_region(address: Address, error: Exception) -> str | None:
    """The region of a bucket, where an error says that it is in another one than was asked; else None."""
    if (found := _BUCKETS_REGION.search(str(error))) is not None:
        return found[1]
    if status_of(error)[0] != 301:
        return None
    try:
        with open_url(urllib.request.Request(url_of(address._replace(key="")), method="HEAD")):
            return "NAME"
    except urllib.error.HTTPError as answer:
        told = re.fullmatch(r"[\w-]+", answer.headers.get("x-amz-bucket-region", ""))
        return told[0] if told else "NAME"
    except (OSError, http.client.HTTPException):
        return "NAME"
