"""Patterns of names, and the order of versions."""

import pytest

from magnet_arrow.errors import SettingError
from magnet_arrow.helm.name_patterns import fits, matching
from magnet_arrow.helm.version_order import is_pre_release, latest, order

NAMES = {"mmlu:a|b", "mmlu:a", "b", "x[1]", "y,regex:z"}


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("mmlu:a|b", {"mmlu:a|b"}),
        ("mmlu:a|x*", {"mmlu:a", "x[1]"}),
        ("x[1]", {"x[1]"}),
        ("x[1]|b", {"x[1]", "b"}),
        ("y,regex:z", {"y,regex:z"}),
        ("b|regex:mmlu:.|x.*", {"b", "mmlu:a", "x[1]"}),
        ("regex:mmlu", set()),
        ("*", NAMES),
        ("", set()),
        ("nothing|regex:", set()),
    ],
)
def test_a_pattern_chooses_names(pattern: str, chosen: set[str]) -> None:
    assert matching(NAMES, pattern) == chosen


def test_one_name_is_chosen_by_itself() -> None:
    assert fits("mmlu:a", "gsm|mmlu*")
    assert not fits("mmlu:a", "regex:mmlu")
    with pytest.raises(SettingError, match="no regular expression"):
        fits("a", "b|regex:(")


def test_versions_are_in_natural_order() -> None:
    versions = ["v2", "v1.10", "v1.9.1", "V1.9", "1.0.0+hot", "v1.0.0", "v1.0.0-rc2", "v1.0.0-rc10", "test"]
    expected = ["test", "v1.0.0-rc2", "v1.0.0-rc10", "v1.0.0", "1.0.0+hot", "V1.9", "v1.9.1", "v1.10", "v2"]
    assert sorted(versions, key=order) == expected
    assert [one for one in expected if is_pre_release(one)] == ["test", "v1.0.0-rc2", "v1.0.0-rc10"]
    assert latest(["v3-alpha", "v1.0.post1", "test"]) == "v1.0.post1"
    assert latest(["test", "v3-alpha", "v3-beta"]) == "v3-beta"
