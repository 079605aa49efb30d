"""Google's list by its JSON API: pages, tags, refusals."""

import base64
import io
import json
import urllib.error
import urllib.parse
from collections.abc import Iterator
from email.message import Message
from typing import Any
from urllib.request import Request

import pytest

from magnet_arrow.errors import RemoteError, SourceNotFoundError
from magnet_arrow.sources.remote import objects, stores
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import address_of
from magnet_arrow.sources.stamps import FileStamp

FOLDER = address_of("gs://bucket/lite/runs")
MD5, CRC32C = bytes(range(16)), b"\x01\x02\x03\x04"


def item(name: str, **others: str) -> dict[str, str]:
    checksum = base64.b64encode(MD5).decode()
    known = {"size": "7", "updated": "2026-11-29T09:11:34.046Z", "generation": "17", "md5Hash": checksum}
    return {"name": f"lite/runs/{name}", **known, **others}


KIND = "storage#objects"


class Google:
    """Answers in place of Google: a page, or an error, for each request."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.asked: list[dict[str, list[str]]] = []

    def __call__(self, request: Request) -> io.BytesIO:
        self.asked.append(urllib.parse.parse_qs(urllib.parse.urlsplit(request.full_url).query))
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer if isinstance(answer, bytes) else json.dumps({"kind": KIND} | answer).encode())


def http_error(code: int, **headers: str) -> urllib.error.HTTPError:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return urllib.error.HTTPError("https://example.org", code, "Refused", message, None)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long would have been waited."""
    found: list[float] = []
    monkeypatch.setattr(objects.time, "sleep", found.append)
    monkeypatch.setattr(stores, "_FIRST_PAUSE_S", 0.0)
    return found


def listed(google: Google, monkeypatch: pytest.MonkeyPatch) -> list[FileStamp]:
    monkeypatch.setattr(stores, "open_url", google)
    return list(objects.list_objects(Stores(), FOLDER))


def test_pages_are_asked_for_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = item("b//c.json", contentEncoding="gzip")
    composite = item("d.json", generation="18", md5Hash="", crc32c=base64.b64encode(CRC32C).decode())
    google = Google({"items": [item("a.json"), packed], "nextPageToken": "next"}, {"items": [composite]})
    time_ns = 1_795_943_494_046_000_000
    assert listed(google, monkeypatch) == [
        FileStamp("a.json", 7, time_ns, f"17 {MD5.hex()}"),
        FileStamp("b//c.json", 7, time_ns, f"17 {MD5.hex()} packed"),
        FileStamp("d.json", 7, time_ns, f"18 {CRC32C.hex()}"),
    ]
    assert [one.get("pageToken") for one in google.asked] == [None, ["next"]]
    assert {(one["prefix"][0], one["maxResults"][0]) for one in google.asked} == {("lite/runs/", "1000")}


def test_a_folder_without_objects_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed(Google({}), monkeypatch) == []


def test_a_page_that_does_not_come_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    answers = (
        http_error(503, Retry_After="7"),
        b"{",
        TimeoutError(),
        ConnectionResetError(),
        {"items": [item("a.json")]},
    )
    assert [one.name for one in listed(Google(*answers), monkeypatch)] == ["a.json"]
    assert pauses == [7, 0, 0, 0]


@pytest.mark.parametrize(
    ("asked", "pause_s"),
    [
        pytest.param("Fri, 31 Dec 9999 23:59:59 GMT", 120, id="a date, within reason"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0, id="a date that is over"),
        pytest.param("soon", 0, id="neither"),
    ],
)
def test_a_store_may_ask_to_wait_until_a_date(
    asked: str, pause_s: float, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    listed(Google(http_error(429, Retry_After=asked), {}), monkeypatch)
    assert pauses == [pause_s]


@pytest.mark.parametrize(("code", "requests"), [(500, 5), (400, 1), (403, 1)])
def test_a_page_that_is_refused_ends_the_listing(
    code: int, requests: int, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    google = Google(*[http_error(code)] * 5)
    with pytest.raises(RemoteError, match=f"gs://bucket/lite/runs cannot be read: {code} Refused") as caught:
        listed(google, monkeypatch)
    assert caught.value.status == code
    assert len(google.asked) == requests


def test_a_bucket_that_is_not_there_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceNotFoundError, match=r"There is no bucket gs://bucket\."):
        listed(Google(http_error(404)), monkeypatch)
