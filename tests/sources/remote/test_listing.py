"""Listings: folders from keys, keys that cannot be paths, memory."""

import tracemalloc
from collections.abc import Iterator

import pytest

from magnet_arrow.sources.remote.listing import Listing
from magnet_arrow.sources.stamps import FileStamp


def listed(*paths: str) -> Listing:
    return Listing.of("s3://b/out", [FileStamp(path, 1, 2, f"tag of {path}") for path in paths])


def test_folders_follow_from_keys() -> None:
    listing = listed(
        "runs/v1/a:x/stats.json", "runs/v1.txt", "runs/v1/a:x/run_spec.json", "runs/v2/marker/", "top.json"
    )
    assert listing.folders("") == ["runs"]
    assert listing.folders("runs") == ["v1", "v2"]
    assert listing.folders("runs/v2") == ["marker"]
    assert listing.folders("runs/v2/marker") == []
    assert listing.folders("runs/v") is None
    assert [file.name for file in listing.files("runs/v1/a:x") or ()] == ["stats.json", "run_spec.json"]
    assert [file.name for file in listing.files("") or ()] == ["top.json"]
    assert listing.files("runs/v1/a:x/stats.json") is None
    assert listing.file("runs/v1/a:x/stats.json") == FileStamp("stats.json", 1, 2, "tag of runs/v1/a:x/stats.json")
    assert listing.file("runs/v1") is None
    assert (listing.n_objects, listing.is_empty, listed().is_empty) == (5, False, True)


def test_many_folders_between_the_files_of_one_do_not_part_them() -> None:
    listing = listed("a.json", *(f"{number}/x.json" for number in range(200)), "z.json")
    assert [file.name for file in listing.files("") or ()] == ["a.json", "z.json"]
    assert len(listing.folders("") or ()) == 200


@pytest.mark.parametrize(
    "path", ["runs//a/stats.json", "runs/./stats.json", "runs/../../stats.json", "/stats.json", "a\0b"]
)
def test_a_key_that_is_no_path_is_refused_and_named(path: str) -> None:
    listing = listed(path, "good/stats.json")
    assert list(listing.refused) == [path]
    assert listing.folders("") == ["good"]


def test_names_that_differ_by_case_only_are_refused() -> None:
    listing = listed(
        "runs/A/stats.json", "runs/a/stats.json", "runs/b/Stats.json", "runs/b/stats.json", "runs/b/x.json"
    )
    assert listing.refused == {
        "runs/A": "its name differs by case only from a",
        "runs/a": "its name differs by case only from A",
        "runs/b/Stats.json": "its name differs by case only from stats.json",
        "runs/b/stats.json": "its name differs by case only from Stats.json",
    }
    assert listing.folders("runs") == ["b"]
    assert [file.name for file in listing.files("runs/b") or ()] == ["x.json"]


@pytest.mark.slow
def test_an_object_takes_little_memory() -> None:
    names = ("run_spec", "scenario", "scenario_state", "stats", "per_instance_stats")

    def objects() -> Iterator[FileStamp]:
        for run in range(20_000):
            folder = f"runs/v1.{run // 2_000}.0/mmlu:subject=anatomy,method=multiple_choice_joint,model=made_{run}"
            for name in names:
                yield FileStamp(f"{folder}/{name}.json", run, run, f"{run:032x}")

    tracemalloc.start()
    listing = Listing.of("s3://b", objects())
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert listing.n_objects == 100_000
    assert used / listing.n_objects < 200  # bytes: 200 MB for a million
