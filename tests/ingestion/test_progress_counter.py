"""What is told of an ingest: by this process, and by others that are at work."""

from pathlib import Path

import pytest

from magnet_arrow.helm.run_place import place_of
from magnet_arrow.ingestion.parallel.live_count import LiveCount
from magnet_arrow.ingestion.parallel.task import PendingRun, TaskResult, new_task
from magnet_arrow.ingestion.progress import ProgressCounter, bytes_to_read
from magnet_arrow.ingestion.rules import Progress, Rules
from magnet_arrow.sources.remote.meter import METER
from magnet_arrow.sources.stamps import FileStamp


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something was fetched before."""
    monkeypatch.setattr(METER, "fetched_bytes", 1_000)
    monkeypatch.setattr(METER, "waited_s", 0.0)


@pytest.mark.usefixtures("fetched")
def test_bytes_that_were_fetched_since_the_beginning_are_told() -> None:
    told: list[Progress] = []
    counter = ProgressCounter(told.append, 100, 2)
    counter.begin("v1/a")
    counter.read(10)
    METER.fetched_bytes += 70
    counter.read(10)
    METER.fetched_bytes += 700  # as of an object that started over
    counter.end(1)
    assert [(one.bytes_done, one.bytes_fetched, one.runs_done) for one in told] == [
        (10, 0, 0),
        (20, 70, 0),
        (20, 100, 1),
    ]


def live_count(*numbers: int, waits_for: str = "") -> LiveCount:
    count = LiveCount()
    bytes_done, fetched, runs, rejected = numbers
    count.tell(Progress(bytes_done, 999, runs, 999, "v1/a", rejected, fetched, waits_for))  # type: ignore[arg-type]
    return count


@pytest.mark.usefixtures("fetched")
def test_tasks_of_other_processes_count_while_they_are_at_work_and_once_when_they_end() -> None:
    told: list[Progress] = []
    run = PendingRun(place_of("gs://bucket/runs/v1/a:x"), "id", (FileStamp("stats.json", 60, 0),))
    counter = ProgressCounter(told.append, 100, 3)
    counter.live = [live_count(50, 60, 0, 0), live_count(20, 30, 1, 1)]
    counter.report()
    counter.drop(counter.live[0])
    counter.end_task(new_task(Path("cache"), [run]), TaskResult(runs=1))
    assert told == [
        Progress(70, 100, 1, 3, "", 1, 90),
        Progress(80, 100, 2, 3, "v1/a:x", 1, 90),
    ]


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize(
    ("waits", "found"),
    [
        (("network", "network", "decoding"), "network"),
        (("network", "", ""), ""),
        (("decoding", "decoding", ""), "decoding"),
        (("network", "decoding"), "network"),
        (("retries", "retries", "network", ""), "retries"),
    ],
)
def test_an_ingest_waits_for_what_half_of_its_processes_wait_for(waits: tuple[str, ...], found: str) -> None:
    told: list[Progress] = []
    counter = ProgressCounter(told.append, 1_000, 9)
    idle = LiveCount()
    counter.live = [idle, *(live_count(1, 2, 0, 0, waits_for=one) for one in waits)]
    counter.report()
    assert told[-1].waits_for == found


def test_what_the_function_of_the_caller_raises_during_a_wait_is_raised_later() -> None:
    def stop(_: Progress) -> None:
        raise OSError("enough")

    counter = ProgressCounter(stop, 100, 1)
    counter.tick()
    with pytest.raises(OSError, match="enough") as caught:
        counter.read(1)
    assert counter.stopped_by is caught.value


def test_files_that_may_stay_in_the_bucket_are_not_to_be_read() -> None:
    stamps = (FileStamp("display_predictions.json", 10**9, 0), FileStamp("stats.json", 60, 0))
    place = place_of("gs://bucket/runs/v1/a:x")
    assert bytes_to_read(PendingRun(place, "id", stamps)) == 60
    assert bytes_to_read(PendingRun(place, "id", stamps, Rules(pictures=True))) == 10**9 + 60
