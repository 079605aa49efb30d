"""How long readers wait for copies, and who is told meanwhile."""

import itertools
from concurrent.futures import Future
from contextvars import copy_context

import pytest

from magnet_arrow.sources.remote import meter
from magnet_arrow.sources.remote.meter import Meter


class Slow(Future):  # type: ignore[type-arg]
    """It takes three looks until it is done."""

    looks = 0

    def result(self, timeout: float | None = None) -> None:
        self.looks += 1
        if self.looks == 3:
            self.set_result(None)
        if self.looks < 3:
            raise TimeoutError


def test_a_reader_that_waits_is_counted_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "clock", itertools.count(0, 2).__next__)
    told: list[float] = []
    found = Meter()
    with found.telling(lambda: told.append(found.waited_s)):
        found.wait_for(Slow())
    assert (found.waited_s, told) == (6, [2, 4])
    found.wait_for(Slow())
    assert (found.waited_s, told) == (12, [2, 4])


def test_of_readers_in_two_threads_each_tells_its_own_until_it_has_ended() -> None:
    told: list[str] = []
    found, one, two = Meter(), copy_context(), copy_context()
    first, second = found.telling(lambda: told.append("one")), found.telling(lambda: told.append("two"))
    one.run(first.__enter__)
    two.run(second.__enter__)
    one.run(found.wait_for, Slow())
    one.run(first.__exit__, None, None, None)
    two.run(found.wait_for, Slow())
    two.run(second.__exit__, None, None, None)
    found.wait_for(Slow())
    assert told == ["one", "one", "two", "two"]


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("no")])
def test_what_is_there_is_not_waited_for_and_its_error_is_raised(error: Exception) -> None:
    found, good, bad = Meter(), Future[None](), Future[None]()
    good.set_result(None)
    bad.set_exception(error)
    found.wait_for(good)
    with pytest.raises(type(error), match="no"):
        found.wait_for(bad)
    assert found.waited_s == 0


def test_most_fetches_must_have_failed_to_be_repeated() -> None:
    found = Meter()
    with found.fetching(), found.fetching(), found.fetching():
        with found.pausing():
            assert not found.is_repeating
            with found.pausing():
                assert found.is_repeating
        assert not found.is_repeating
    assert (found.n_fetching, found.n_pausing, found.is_repeating) == (0, 0, False)
