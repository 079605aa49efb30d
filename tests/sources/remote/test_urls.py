"""URLs of buckets: their one spelling, and as paths."""

import pickle
from pathlib import Path

import pytest

from magnet_arrow.errors import SourceNotFoundError
from magnet_arrow.sources.remote.urls import RemotePath, address_of, as_path, is_remote, url_of

RUN = "gs://bucket/lite/runs/v1.0.0/mmlu:subject=a b,model=100%#*"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3:/bucket/runs", "s3://bucket/runs"),  # as `Path` writes it
        ("S3://bucket//runs/v1/", "s3://bucket/runs/v1"),
        ("s3a://bucket/runs", "s3://bucket/runs"),
        ("gcs://bucket/runs", "gs://bucket/runs"),
        (RUN, RUN),
        ("https://storage.googleapis.com/bucket/lite/runs", "gs://bucket/lite/runs"),
        ("https://storage.cloud.google.com/bucket/a%20b?authuser=0", "gs://bucket/a b"),
        (
            "https://console.cloud.google.com/storage/browser/bucket/lite/runs;tab=objects?prefix=",
            "gs://bucket/lite/runs",
        ),
        ("https://console.cloud.google.com/storage/browser/bucket/a%3Ab#x", "gs://bucket/a:b"),
        ("https://example.org/bucket", None),
        ("az://container/x", None),
        ("/data/runs", None),
        ("C:\\data", None),
        ("runs/v1", None),
        ("mmlu:subject=a", None),
    ],
)
def test_a_url_has_one_spelling(text: str, url: str | None) -> None:
    assert url_of(text) == url


@pytest.mark.parametrize("text", ["s3://", "gs:///runs", "https://storage.googleapis.com/"])
def test_a_url_without_a_bucket_is_refused(text: str) -> None:
    with pytest.raises(SourceNotFoundError, match="names no bucket"):
        url_of(text)


def test_a_url_is_a_path_whose_text_is_the_url() -> None:
    path = as_path(RUN)
    assert isinstance(path, RemotePath)
    assert str(path) == f"{path}" == path.__fspath__() == RUN
    assert (path.name, str(path.parent.parent)) == ("mmlu:subject=a b,model=100%#*", "gs://bucket/lite/runs")
    assert str(path / "stats.json") == f"{RUN}/stats.json"
    assert path.is_relative_to(as_path("gs://bucket/lite"))
    assert not path.is_relative_to(as_path("s3://bucket/lite"))
    assert path.absolute() == path.resolve() == path
    assert pickle.loads(pickle.dumps(path)) == path
    assert str(pickle.loads(pickle.dumps(path))) == RUN
    assert {path: 1}[as_path(RUN)] == 1
    assert str((path / "groups" / "x.json").relative_to(path)) == "groups/x.json"


def test_a_path_of_this_machine_stays_one() -> None:
    path = as_path("/data/runs")
    assert type(path) is type(Path())
    assert not is_remote(path)
    assert not is_remote("/data/s3:/x")
    assert is_remote("s3://b")


def test_an_address_has_the_parts_of_a_url() -> None:
    assert address_of("s3://bucket") == ("s3", "bucket", "")
    assert address_of(RUN) == ("gs", "bucket", RUN.removeprefix("gs://bucket/"))
    assert address_of(RUN).url == RUN
