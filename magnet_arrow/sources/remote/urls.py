"""URLs of folders and files in a bucket: which are known, and their one spelling, `s3://BUCKET/KEY` or `gs://BUCKET/KEY`."""

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from magnet_arrow.errors import SourceNotFoundError

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}")  # `Path` makes one slash of two
_SCHEMES = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs"}
_PREFIXES = ("s3://", "gs://")
_PAGE = re.compile(
    r"(?:storage\.googleapis\.com|storage\.cloud\.google\.com|console\.cloud\.google\.com/storage/browser)/(.*)"
)
_AFTER_PATH = re.compile(r"[?#]|;tab=")


class Address(NamedTuple):
    """What a URL names.

    Attributes:
        scheme: `s3` or `gs`.
        bucket: the bucket.
        key: of an object, or the beginning of the keys of a folder's objects, without slashes at its ends.
    """

    scheme: str
    bucket: str
    key: str

    @property
    def url(self) -> str:
        """The URL in its one spelling."""
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


class RemotePath(type(Path())):  # type: ignore[misc]  # the class of this system's paths, which mypy cannot know
    """A URL as a path: it can be joined and taken apart as a path can, and its text is the URL.

    Its own methods that look at a file see nothing; `sources.filesystem` looks into the bucket.
    """

    def __str__(self) -> str:
        text: str | None = self.__dict__.get("_url")  # a tenth of the time of a plan was spent on making it again
        if text is None:
            scheme, *names = self.parts or [""]
            text = f"{scheme}//{'/'.join(names)}" if f"{scheme}//" in _PREFIXES else super().__str__()
            self.__dict__["_url"] = text
        return text

    def __fspath__(self) -> str:
        return str(self)

    def is_absolute(self) -> bool:
        """Always: a URL means the same wherever the process is."""
        return True

    def absolute(self) -> "RemotePath":
        """The same."""
        return self

    def resolve(self, strict: bool = False) -> "RemotePath":
        """The same: a bucket has no links."""
        return self


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL in its one spelling."""
    return isinstance(path, RemotePath) or (isinstance(path, str) and path.startswith(_PREFIXES))


def as_path(text: str) -> Path:
    """A path of this machine, or a URL in its one spelling, as a `Path`."""
    return RemotePath(text) if is_remote(text) else Path(text)


def address_of(url: str) -> Address:
    """The parts of a URL in its one spelling."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return Address(scheme, bucket, key)


def url_of(text: str) -> str | None:
    """A URL of a bucket in its one spelling; None if the text is none.

    An address of Google's web pages means the bucket: `https://storage.googleapis.com/BUCKET/KEY`, and that of a
    folder in the cloud console.

    >>> url_of("s3://bucket//runs/"), url_of("/data/runs")
    ('s3://bucket/runs', None)
    >>> url_of("https://console.cloud.google.com/storage/browser/bucket/lite/v1;tab=objects?prefix=")
    'gs://bucket/lite/v1'

    Raises:
        SourceNotFoundError: it names no bucket.
    """
    found = _URL.match(text)
    if found is None:
        return None
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme in ("http", "https"):
        page = _PAGE.fullmatch(_AFTER_PATH.split(rest)[0])
        scheme, rest = ("gs", unquote(page[1])) if page else ("", rest)
    if scheme not in _SCHEMES:
        return None
    bucket, *names = rest.split("/")
    refuse_password(text, f"{_SCHEMES[scheme]}://BUCKET/FOLDER")
    if not bucket:
        raise SourceNotFoundError(f"{text} names no bucket.", expected=f"{_SCHEMES[scheme]}://BUCKET/FOLDER")
    return "/".join((f"{_SCHEMES[scheme]}://{bucket}", *filter(None, names)))


def refuse_password(url: str, expected: str) -> None:
    """Refuse a URL of ours that holds a user or password, without showing them.

    Raises:
        SourceNotFoundError: it does.
    """
    found = _URL.match(url)
    if found is not None and _has_user(url[found.end() :]):
        hint = "Keys and passwords come from the environment or a profile, never from a URL."
        raise SourceNotFoundError("There is a user or password in a URL.", expected=expected, hint=hint)


def without_password(text: str) -> str:
    """A text as it may be shown: a URL without user and password, and one of the web without its query.

    >>> without_password("https://user:p/w@host/a?X-Amz-Signature=1"), without_password("s3://bucket/a@b")
    ('https://host/a', 's3://bucket/a@b')
    """
    found = _URL.match(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if _has_user(rest):
        rest = rest.rpartition("@")[2]
    if found[1].lower() in ("http", "https"):
        rest = re.split("[?#]", rest)[0]
    return text[: found.end()] + rest


def _has_user(rest: str) -> bool:
    """Whether a URL's part behind its scheme begins with a user. A secret may hold slashes."""
    first = rest.partition("/")[0]
    return "@" in first or (":" in first and "@" in rest)
