"""The objects below a folder of a bucket, page by page: of S3 as obstore lists them, of Google by its JSON API.

Google's own list has what obstore does not tell: checksums, generations, and keys that are no paths, which would end a
listing of obstore's.
"""

import base64
import http.client
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from magnet_arrow.errors import BadFileError, MagnetError, RemoteError, SourceNotFoundError
from magnet_arrow.sources.remote import event_loop, settings, stores
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import Address
from magnet_arrow.sources.stamps import PACKED, FileStamp

if TYPE_CHECKING:
    from obstore import ObjectMeta

T = TypeVar("T")
_PAGE = 1000
"""Objects in a page: neither kind of store gives more."""
_KIND = "storage#objects"
_MAX_PAGE_BYTES = 32 << 20
"""A thousand objects with the longest names are a quarter of this."""
_NAMES = "kind,prefixes,items(name),nextPageToken"
_FIELDS = "kind,items(name,size,updated,generation,md5Hash,crc32c,contentEncoding),nextPageToken"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CutListError(RemoteError):
    """A page of a listing did not come to its end. Obstore does not ask for it again, as it does otherwise."""


def list_objects(known: Stores, address: Address) -> Iterator[FileStamp]:
    """All objects below a folder, with the path from there for a name.

    Raises:
        SourceNotFoundError: there is no such bucket.
        RemoteError: the store refused, or did not answer. A `CutListError` may not come again.
        BadFileError: a key cannot be a path, and the store's listing ends there.
    """
    try:
        pages, first = _asked(known, address, lambda: _begun(_pages(known, address)))
    except Exception as error:
        raise _said(address, error) from None
    yield from first
    try:
        for page in pages:
            yield from page
    except Exception as error:
        raise _said(address, error) from None


def _asked(known: Stores, address: Address, ask: Callable[[], T]) -> T:
    """A store's answer; if it refuses a request without a signature, it is asked once more with one.

    What is asked later of the bucket is signed only if that was not refused: it may be public but for this.
    """
    was_signed = known.is_signed(address)
    try:
        return ask()
    except Exception as error:
        if not known.may_sign(address, error, was_signed=was_signed):
            raise
    known.sign(address)
    try:
        return ask()
    except FileNotFoundError:
        raise
    except Exception:
        known.do_not_sign(address)
        raise


def _begun(pages: Iterator[list[FileStamp]]) -> tuple[Iterator[list[FileStamp]], list[FileStamp]]:
    """The other pages, and the first one, which is asked for now."""
    return pages, next(pages, [])


def _pages(known: Stores, address: Address) -> Iterator[list[FileStamp]]:
    if address.scheme == "gs" and not known.is_signed(address):
        return _pages_of_google(address)
    return _pages_of_obstore(known, address)


def _pages_of_obstore(known: Stores, address: Address, after: str = "") -> Iterator[list[FileStamp]]:
    """The objects whose keys come after a given one.

    To obstore, a web page in place of a list is an empty list: it would end a listing in the middle, and the other runs
    would count as gone. So a listing that ends with a full page is asked for what comes after it.
    """
    store, begin = known.of(address, retries=True), _begin(address)
    stream = stores.package().list(store, prefix=address.key or None, offset=after or None, chunk_size=_PAGE)
    count, last = 0, after
    while (page := event_loop.wait_for(_next_page(stream))) is not None:
        if after and page[0]["path"] <= after:  # the store does not know how to begin in the middle
            return
        yield [_of_obstore(one, one["path"][begin:], address.scheme) for one in page]
        count += len(page)
        last = max(last, *(one["path"] for one in page))
    if count and count % _PAGE == 0:
        yield from _pages_of_obstore(known, address, last)


async def _next_page(stream: Any) -> Any:
    return await anext(stream, None)


def _answer(known: Stores, address: Address, question: str, *arguments: Any, **options: Any) -> Any:
    """What a function of obstore says of a bucket."""
    store = known.of(address, retries=True)

    async def ask() -> Any:
        return await getattr(stores.package(), f"{question}_async")(store, *arguments, **options)

    return event_loop.wait_for(ask())


def _begin(address: Address) -> int:
    """Where the path of an object below a folder begins in its key."""
    return len(address.key) + 1 if address.key else 0


def _of_obstore(one: "ObjectMeta", name: str, scheme: str) -> FileStamp:
    etag = (one["e_tag"] or "").strip('"')
    tag = f"{one['version'] or ''} {etag}".strip() if scheme == "gs" else etag
    return FileStamp(name, one["size"], _ns(one["last_modified"]), tag)


def _ns(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _pages_of_google(address: Address) -> Iterator[list[FileStamp]]:
    begin = _begin(address)
    for page in _answers_of_google(address, fields=_FIELDS):
        yield [_of_google(one, begin) for one in page.get("items", ())]


def _answers_of_google(address: Address, **query: str) -> Iterator[Any]:
    base = f"{stores.server_of(address.scheme)}/storage/v1/b/{address.bucket}/o"
    query |= {"maxResults": str(_PAGE), "prefix": address.key and f"{address.key}/"}
    while True:
        page = _json(f"{base}?{urllib.parse.urlencode(query)}")
        yield page
        if "nextPageToken" not in page:
            return
        query["pageToken"] = page["nextPageToken"]


def _of_google(one: dict[str, str], begin: int) -> FileStamp:
    checksum = base64.b64decode(one.get("md5Hash") or one.get("crc32c") or "").hex()
    packed = PACKED if one.get("contentEncoding") == "gzip" else ""
    return FileStamp(
        one["name"][begin:],
        int(one["size"]),
        _ns(datetime.fromisoformat(one["updated"])),
        f"{one.get('generation', '')} {checksum}{packed}",
    )


def _json(url: str) -> Any:
    """A page of Google's list, asked for again if the store does not give it for a moment."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    asked, attempt = settings.current(), 1
    while True:
        try:
            with stores.open_url(request) as answer:
                return _page_of_google(answer.read(_MAX_PAGE_BYTES))
        except (OSError, ValueError, http.client.HTTPException) as error:
            if attempt >= asked.n_attempts or not stores.is_passing(error):
                raise
            time.sleep(stores.pause_s(attempt, stores.retry_after_s(error)))
            attempt += 1


def _page_of_google(text: bytes) -> Any:
    page = json.loads(text)
    if not (isinstance(page, dict) and page.get("kind") == _KIND):  # a proxy's own answer would be an empty folder
        raise ValueError
    return page


def _said(address: Address, error: Exception) -> Exception:
    """The error of ours for one that a listing ended with."""
    if stores.status_of(error)[0] == 404:
        bucket = f"{address.scheme}://{address.bucket}"
        return SourceNotFoundError(f"There is no bucket {bucket}.", hint=stores.asked_server(address.scheme))
    if type(error).__name__ == "InvalidPathError":
        text = str(error).split("\n", 1)[0].removeprefix("Encountered object with invalid path: ")
        return BadFileError(
            f"{address.url} cannot be listed to its end: a key below it is no path of a file ({text}).",
            hint="Name folders that hold no such key.",
        )
    if isinstance(error, MagnetError):
        return error
    if isinstance(error, ValueError):
        return RemoteError.of(
            address.url, "an answer that is no list of objects", attempts=settings.current().n_attempts
        )
    if "list response body" in str(error):
        return CutListError.of(address.url, "a list of objects that was cut off")
    return stores.remote_error(address, error)


def head(known: Stores, address: Address) -> FileStamp | None:
    """The object of a key; None if there is none."""
    try:
        found = _asked(known, address, lambda: _answer(known, address, "head", address.key))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise _said(address, error) from None
    return _of_obstore(found, address.key.rpartition("/")[2], address.scheme)


def is_folder(known: Stores, address: Address) -> bool:
    """Whether there is an object below a folder of this name; asks for one page of them."""
    return next(list_objects(known, address), None) is not None


def first_bytes(known: Stores, address: Address, count: int) -> bytes | None:
    """The first bytes of an object; None if the store gives no ranges."""
    try:
        return bytes(
            _asked(known, address, lambda: _answer(known, address, "get_range", address.key, start=0, end=count))
        )
    except FileNotFoundError:
        raise
    except Exception as error:
        if "non-partial response" in str(error):
            return None
        raise _said(address, error) from None


def names(known: Stores, address: Address) -> tuple[list[str], list[str]]:
    """The names of the folders and files right below a folder, without those further below."""
    try:
        return _asked(known, address, lambda: _names(known, address))
    except Exception as error:
        raise _said(address, error) from None


def _names(known: Stores, address: Address) -> tuple[list[str], list[str]]:
    if address.scheme == "gs" and not known.is_signed(address):
        return _names_of_google(address)
    found = _answer(known, address, "list_with_delimiter", address.key or None)
    folders = [prefix.rpartition("/")[2] for prefix in found["common_prefixes"]]
    return folders, [one["path"].rpartition("/")[2] for one in found["objects"]]


def _names_of_google(address: Address) -> tuple[list[str], list[str]]:
    folders, files = [], []
    for page in _answers_of_google(address, fields=_NAMES, delimiter="/"):
        folders += [prefix[:-1].rpartition("/")[2] for prefix in page.get("prefixes", ())]
        files += [one["name"].rpartition("/")[2] for one in page.get("items", ())]
    return list(filter(None, folders)), list(filter(None, files))
