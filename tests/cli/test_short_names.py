"""Short names fit, and tell apart what the names tell apart."""

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from strategies import TERMINAL_TEXTS

from magnet_arrow._text import for_terminal
from magnet_arrow.cli.short_names import shortened

RUN = "mmlu:subject={},method=multiple_choice_joint,model=made_{},data_augmentation=canonical"
ALIKE = st.sampled_from(["ab" * 30, "ab" * 29 + "c", "a…b", "a/" * 20 + "b", "a/" * 20 + "c"])


@given(
    st.lists(TERMINAL_TEXTS | ALIKE, max_size=30),
    st.integers(8, 60),
)
def test_short_names_fit_and_differ_where_the_names_do(names: list[str], width: int) -> None:
    short = shortened(names, width)
    assert set(short) == set(names)
    assert all(cell_len(text) <= width for text in short.values())
    assert len(set(short.values())) == len(set(map(for_terminal, names)))


def test_what_most_names_share_goes_first() -> None:
    names = [RUN.format(subject, model) for subject in ("anatomy", "law") for model in ("owl", "finch")]
    assert list(shortened(names, 50).values()) == [
        "mmlu:subject=anatomy,…model=made_owl,…",
        "mmlu:subject=anatomy,…model=made_finch,…",
        "mmlu:subject=law,…model=made_owl,…",
        "mmlu:subject=law,…model=made_finch,…",
    ]


def test_what_differs_in_the_middle_is_seen() -> None:
    names = ["a" * 30 + letter + "z" * 30 for letter in "xy"]
    assert list(shortened(names, 20).values()) == ["aaaaa…xzzzzzzzzzzzz…", "aaaaa…yzzzzzzzzzzzz…"]


def test_names_that_cannot_be_told_apart_are_numbered() -> None:
    names = [f"{'a' * 30}{begin}{'m' * 30}{end}{'z' * 30}" for begin in "xy" for end in "uv"]
    short = list(shortened(names, 12).values())
    assert len(set(short)) == 4
    assert sum(re.search(r"#\d$", text) is not None for text in short) == 2


def test_names_of_models_keep_their_ends() -> None:
    ends = shortened([f"{name}-of-a-maker-of-models-{name}" for name in ("a-8b-chat", "b-8b-chat")], 11)
    assert list(ends.values()) == ["a-8b-…-chat", "b-8b-…-chat"]
    begins = shortened(["an-organisation/8b-of-2026", "an-organisation/7b-of-2026"], 14)
    assert list(begins.values()) == ["…8b-of-2026", "…7b-of-2026"]


def test_of_a_text_with_many_differences_only_the_middle_is_lost() -> None:
    choices = [", ".join(f"choice {number}, {letter * 4}{number}" for number in range(8)) for letter in "abc"]
    short = shortened([f"Question: {text}" for text in choices], 52).values()
    assert [text.count("…") for text in short] == [1, 1, 1]


def test_names_are_escaped() -> None:
    assert shortened(["\x1b[31mred"], 30) == {"\x1b[31mred": "\\x1b[31mred"}
