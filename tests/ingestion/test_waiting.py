"""What an ingest of a bucket waits for, told by a clock that is moved by hand."""

import pytest

from magnet_arrow.ingestion import waiting
from magnet_arrow.ingestion.waiting import Waiting


@pytest.mark.parametrize(
    ("waited_share", "ahead_bytes", "found"),
    [
        (1.0, 0, "network"),
        (0.6, 10, "network"),
        (0.3, 10, ""),
        (0.0, 10, "decoding"),
        (0.0, 0, ""),
    ],
)
def test_the_share_of_time_in_which_copies_were_waited_for_decides(
    waited_share: float, ahead_bytes: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(waiting, "clock", lambda: now)
    told = Waiting()
    assert told.waits_for(0.0, ahead_bytes) == ""  # nothing is known yet
    for number in range(1, 50):
        now = 100 + number / 10
        assert told.waits_for(waited_share * number / 10, ahead_bytes) == found
        repeating = told.waits_for(waited_share * number / 10, ahead_bytes, is_repeating=True)
        assert repeating == ("retries" if found == "network" else found)


def test_only_the_last_seconds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = waited_s = 0.0
    monkeypatch.setattr(waiting, "clock", lambda: now)
    told = Waiting()
    found = []
    for second in range(20):  # ten seconds of waiting, then ten without
        now, waited_s = float(second), float(min(second, 10))
        found.append(told.waits_for(waited_s, 1))
    assert found == ["", *["network"] * 12, *[""] * 2, *["decoding"] * 5]
