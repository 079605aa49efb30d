"""Which release wrote a run, by the table in HELM's own history of its fields."""

import pytest

from magnet_arrow.helm.releases import ALWAYS_WRITTEN, RELEASES, Era, era_of


def test_there_are_25_releases_in_order() -> None:
    assert len(RELEASES) == 25
    assert sorted(RELEASES, key=lambda release: [int(part) for part in release.split(".")]) == list(RELEASES)
    assert (RELEASES[0], RELEASES[7], RELEASES[8], RELEASES[-1]) == ("0.1.0", "0.4.0", "0.5.0", "0.5.16")


def test_fields_that_are_always_written_are_those_that_cannot_be_none() -> None:
    """Worked out by hand from the releases' classes."""
    assert ALWAYS_WRITTEN == {
        "sample_train": "0.2.2",
        "multi_label": "0.2.4",
        "global_suffix": "0.4.0",
        "model_deployment": "0.4.0",
        "num_trials": "0.5.0",
        "chain_of_thought_prefix": "0.5.5",
        "chain_of_thought_suffix": "0.5.5",
    }


@pytest.mark.parametrize(
    ("newest", "first", "last"),
    [
        (None, "0.1.0", "0.2.1"),
        ("sample_train", "0.2.2", "0.2.3"),
        ("multi_label", "0.2.4", "0.3.0"),
        ("model_deployment", "0.4.0", "0.4.0"),
        ("num_trials", "0.5.0", "0.5.4"),
        ("chain_of_thought_prefix", "0.5.5", "0.5.16"),
    ],
)
def test_an_adapter_spec_tells_a_range(newest: str | None, first: str, last: str) -> None:
    """The rule of thumb: the newest of these fields that is there, and the next that is not."""
    order = sorted(set(ALWAYS_WRITTEN.values()), key=RELEASES.index)
    known = order[: order.index(ALWAYS_WRITTEN[newest]) + 1] if newest else []
    era = era_of([(since, None) for since in known], [since for since in order if since not in known])
    assert era == Era(first, last)
    assert not era.is_mixed


def test_a_field_that_is_gone_again_ends_the_range() -> None:
    assert era_of([("0.1.0", "0.4.0"), ("0.2.4", None)], []) == Era("0.2.4", "0.4.0")
    assert era_of([], []) == Era("0.1.0", "0.5.16")


def test_fields_that_contradict_each_other_are_said_to() -> None:
    era = era_of([("0.1.0", "0.1.0"), ("0.5.10", None)], [])
    assert era.is_mixed
    assert str(era) == "mixed (some fields since 0.5.10, others until 0.1.0)"
    assert str(Era("0.4.0", "0.4.0")) == "0.4.0"
    assert not Era("0.5.9", "0.5.10").is_mixed
