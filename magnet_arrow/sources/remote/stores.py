"""The stores that buckets are read from, by obstore. All settings come from the environment, as other tools know them.

Requests are anonymous first. Credentials are used where the environment has some and an anonymous request was refused;
they are obstore's alone, and nothing here reads, keeps or shows them.
"""

import http.client
import os
import random
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from magnet_arrow._optional import optional_module
from magnet_arrow.errors import RemoteError, SettingError
from magnet_arrow.sources.remote.urls import Address

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3_ENDPOINT, GCS_ENDPOINT = "AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"
"""Variables that name another server than Amazon's or Google's."""
_SERVERS = {"s3": "https://s3.{}.amazonaws.com", "gs": "https://storage.googleapis.com"}
_CREDENTIALS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
}
"""Variables of which one is set if the environment has credentials."""
_SERVER = re.compile(r"https?://(?![/:])[^\s/@]+(?:/\S*)?")
_WITHOUT_ANSWER = timedelta(seconds=60)
_TIMEOUTS = {"timeout": timedelta(days=7), "read_timeout": _WITHOUT_ANSWER, "connect_timeout": timedelta(seconds=20)}
"""Of a request as a whole, which may bring a large object, and of waiting for more of it."""
_RETRIES: Any = {"max_retries": 4, "retry_timeout": _WITHOUT_ANSWER}
"""Of listings. Objects are asked for again by `fetching`, which knows how much it has of them."""
ATTEMPTS = 5
"""How often something is asked for that a store does not give for a moment."""
_FIRST_PAUSE_S, _MAX_PAUSE_S, _MAX_ASKED_S = 0.1, 10.0, 120.0
_PASSING = frozenset({408, 429, *range(500, 600)})
_STATUS = re.compile(r"non-2xx status code: (\d+) ?([A-Za-z -]*)")
_REFUSED = frozenset({401, 403})
_CAUSE, _REASON = "\n\nDebug source:", re.compile(r'(?:error|message): "([^"]+)"')
"""Where obstore says why there was no answer."""


def package() -> Any:
    """The module obstore.

    Raises:
        MissingPackageError: it is not installed.
    """
    return optional_module("obstore", "Reading from a bucket needs obstore.", extra="remote")


class Stores:
    """The store of each bucket, made when it is first needed."""

    def __init__(self) -> None:
        self._stores: dict[tuple[str, ...], ObjectStore] = {}
        self._signed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def of(self, address: Address, *, retries: bool = False) -> "ObjectStore":
        """The store of a bucket, as the environment says now; `retries` has obstore repeat requests by itself."""
        signed = self.is_signed(address)
        key = (*address[:2], str(signed), str(retries), endpoint(address.scheme), _region())
        with self._lock:
            if key not in self._stores:
                self._stores[key] = _new_store(address, signed=signed, retries=retries)
            return self._stores[key]

    def is_signed(self, address: Address) -> bool:
        """Whether requests to a bucket are signed."""
        return address[:2] in self._signed

    def may_sign(self, address: Address, error: Exception) -> bool:
        """Whether a refused request is worth another try, as it will be signed from now on."""
        bucket = address[:2]
        if status_of(error)[0] not in _REFUSED or bucket in self._signed or not has_credentials(address.scheme):
            return False
        self._signed.add(bucket)
        return True


def _new_store(address: Address, *, signed: bool, retries: bool) -> "ObjectStore":
    package()
    from obstore.store import GCSStore, S3Store

    server = endpoint(address.scheme)
    client: Any = {**_TIMEOUTS, "allow_http": server.startswith("http://")}
    options: dict[str, Any] = {"client_options": client, "retry_config": _RETRIES if retries else {"max_retries": 0}}
    options["skip_signature"] = not signed
    if address.scheme == "gs":
        # Objects that are stored packed come as they are stored, so that their size and checksum are those listed.
        client["default_headers"] = {"accept-encoding": "gzip"}
        return GCSStore(address.bucket, **options | ({"base_url": server} if server else {}))
    region = _region()
    return S3Store(address.bucket, region=region, endpoint=server or _SERVERS["s3"].format(region), **options)


def endpoint(scheme: str) -> str:
    """The server that the environment names for a kind of store; empty for Amazon's or Google's own.

    Raises:
        SettingError: it is no address of a server.
    """
    variable = GCS_ENDPOINT if scheme == "gs" else S3_ENDPOINT
    found = os.environ.get(variable, "").rstrip("/")
    server = found if not found or "://" in found else f"http://{found}"
    if server and not _SERVER.fullmatch(server):  # obstore would end in a panic
        raise SettingError(f"{variable} names no server.", expected="https://HOST or http://HOST:PORT")
    return server


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def has_credentials(scheme: str) -> bool:
    """Whether the environment has credentials for a kind of store."""
    return any(os.environ.get(name) for name in _CREDENTIALS[scheme])


def status_of(error: Exception) -> tuple[int | None, str]:
    """The HTTP status in an error of obstore, and its name; None if the store did not answer at all."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code, error.reason
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
    """How long a store asks to wait, by the header of its answer."""
    asked = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    return float(asked) if asked.isdecimal() else None


def ask_for_pause(address: Address) -> float | None:
    """How long a store asks to wait that is busy. Obstore does not show it, so the object is asked about once more."""
    request = urllib.request.Request(url_of(address), method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_WITHOUT_ANSWER.total_seconds()):
            return None
    except (OSError, http.client.HTTPException) as error:
        return retry_after_s(error)


def url_of(address: Address) -> str:
    """The address of an object in the web."""
    server = endpoint(address.scheme) or _SERVERS[address.scheme].format(_region())
    return f"{server}/{address.bucket}/{urllib.parse.quote(address.key)}"


def remote_error(address: Address, error: Exception, attempts: int = 1) -> RemoteError:
    """The error for a request that a store did not answer as it should."""
    status, name = status_of(error)
    if status is not None:
        return RemoteError.of(
            address.url, f"{status} {name}".strip(), status=status, attempts=attempts, hint=_hint(address, status)
        )
    text, _, cause = str(error).partition(_CAUSE)
    said = [*_REASON.findall(cause), text.rpartition(" - ")[2].strip() or type(error).__name__][0]
    return RemoteError.of(
        address.url, f"no answer ({said})", attempts=attempts, hint="Is the network up, and the endpoint right?"
    )


def _hint(address: Address, status: int) -> str | None:
    if status not in _REFUSED:
        return None
    variable = _CREDENTIALS[address.scheme][0]
    if has_credentials(address.scheme):
        return f"The credentials of {variable} may not read this bucket."
    return f"It is not public, or is no such bucket. Set {variable} to read it with your own credentials."
