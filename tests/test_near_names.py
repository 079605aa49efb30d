import difflib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from magnet_arrow._near_names import did_you_mean, did_you_mean_pattern, near_names, nearest_first

COLUMNS = [
    *("stats.name.name", "stats.mean", "stats.sum", "run_spec.adapter_spec.model", "run_spec.name"),
    *("scenario_state.request_states.result.completions", "stats.name.perturbation.name"),
]
FOLDER = "mmlu:subject={},method=multiple_choice_joint,model=openai_gpt2"


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        pytest.param("STATS.Mean", COLUMNS, ["stats.mean"], id="case"),
        pytest.param("mean", COLUMNS, ["stats.mean"], id="last-part"),
        pytest.param("model", COLUMNS, ["run_spec.adapter_spec.model"], id="last-part-of-a-deeper-name"),
        pytest.param("name", COLUMNS, ["run_spec.name", "stats.name.name", "stats.name.perturbation.name"], id="three"),
        pytest.param("gpt2", ["openai/gpt2", "openai/gpt3"], ["openai/gpt2"], id="model-without-organisation"),
        pytest.param("stats.maen", COLUMNS, ["stats.mean"], id="spelled-alike"),
        pytest.param("maen", COLUMNS, ["stats.mean"], id="last-part-spelled-alike"),
        pytest.param("stats.name", COLUMNS, ["stats.name.name", "stats.name.perturbation.name"], id="first-parts"),
        pytest.param("state", ["per_request_states"], ["per_request_states"], id="within"),
        pytest.param("stats.mean", ["stats.mean"], [], id="the-name-itself-is-no-help"),
        pytest.param("xyz", COLUMNS, [], id="nothing-near"),
        pytest.param("", COLUMNS, [], id="empty"),
        pytest.param(".", ["a", "b."], ["b."], id="a-separator-alone"),
        pytest.param("x.", ["a.", "b"], [], id="an-empty-last-part"),
        pytest.param("x" * 100_000, ["x" * 99_999], [], id="far-too-long"),
    ],
)
def test_near_names(name: str, known: Sequence[str], near: list[str]) -> None:
    assert near_names(name, known) == near


def test_the_order_of_the_known_names_does_not_matter() -> None:
    known = ["stats.a.mean", "stats.b.mean", "stats.c.mean", "stats.d.mean"]
    assert near_names("mean", known) == near_names("mean", known[::-1]) == known[:3]


def test_no_near_name_is_no_question() -> None:
    assert did_you_mean("xyz", COLUMNS) == ""
    assert did_you_mean("sum", COLUMNS) == "Did you mean 'stats.sum'?"


def test_of_many_names_only_the_likeliest_are_compared_letter_by_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    matches = difflib.get_close_matches

    def counted(word: str, possibilities: list[str], n: int, cutoff: float) -> list[str]:
        compared.append(len(possibilities))
        return matches(word, possibilities, n=n, cutoff=cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    known = [FOLDER.format(f"subject_{number}") for number in range(3000)] + [FOLDER.format("anatomy")]
    assert near_names(FOLDER.format("anatomi"), known) == [FOLDER.format("anatomy")]
    assert near_names("maen", [*known, "mean"]) == ["mean"]
    assert max(compared) == 64


@pytest.mark.parametrize(
    ("pattern", "offered"),
    [
        pytest.param("anatomy", "'*anatomy*'", id="a-part"),
        pytest.param("*subject=anatomy", "'*subject=anatomy*'", id="an-end-is-missing"),
        pytest.param("MMLU:*", f"{FOLDER.format('anatomy')!r} or {FOLDER.format('virology')!r}", id="case"),
        pytest.param("mmlu:subject=anatomi*", "'mmlu:subject=anatomy*'", id="a-beginning-spelled-alike"),
        pytest.param(FOLDER.format("anatomi"), repr(FOLDER.format("anatomy")), id="a-name-spelled-alike"),
        pytest.param("xyz*", "", id="nothing-near"),
    ],
)
def test_a_pattern_that_matches_nothing(pattern: str, offered: str) -> None:
    folders = [FOLDER.format("anatomy"), FOLDER.format("virology")]
    assert did_you_mean_pattern(pattern, folders) == (offered and f"Did you mean {offered}?")


def test_the_schema_has_a_near_name_for_each_last_part() -> None:
    contract = json.loads((Path(__file__).parent.parent / "schemas" / "stats.json").read_text())
    names = [column["name"] for column in contract["columns"]]
    for name in names:
        last = name.rpartition(".")[2]
        assert all(near.endswith(f".{last}") for near in near_names(last, names))
        assert near_names(last, names)


def test_nothing_is_nearer_to_an_empty_name() -> None:
    assert set(nearest_first("", ["b", "a"])) == {"a", "b"}  # a pattern that is all wildcards leaves such a name
