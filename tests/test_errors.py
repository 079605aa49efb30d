import pickle

import msgspec
import pytest

from magnet_arrow import errors
from magnet_arrow.errors import (
    BadFileError,
    CacheNotWritableError,
    ColumnNotFoundError,
    FilterError,
    MagnetError,
    NoRunsError,
    NotEnoughRunsError,
    NotEnoughSamplesError,
    PredictionError,
    Rejected,
    SourceNotFoundError,
    UnsupportedError,
    Where,
)

ALL = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MagnetError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        pytest.param(Where(), "", id="nothing"),
        pytest.param(Where("s/mmlu:x"), "s/mmlu:x", id="run"),
        pytest.param(Where("s/mmlu:x", "stats.json"), "s/mmlu:x/stats.json", id="file"),
        pytest.param(Where(file="stats.json", byte=0), "stats.json, byte 0", id="byte-zero"),
        pytest.param(Where(json_path="$[41].mean"), "at $[41].mean", id="path-alone"),
        pytest.param(
            Where("mmlu:subject=anatomy,model=openai_gpt2", "stats.json", "$[41].mean", 18204),
            "mmlu:subject=anatomy,model=openai_gpt2/stats.json, byte 18204, at $[41].mean",
            id="all",
        ),
    ],
)
def test_where_reads_as_a_place(where: Where, text: str) -> None:
    assert str(where) == text


def test_a_text_says_where_expected_found_and_what_to_do() -> None:
    err = BadFileError(
        "",
        where=Where("mmlu:subject=anatomy,model=openai_gpt2", "stats.json", "$[41].mean", 18204),
        expected="a number or null",
        found="the end of the file",
        hint="The run was left out, the other 3 went in. Copy the file again, then repeat the ingest.",
    )
    assert str(err) == (
        "mmlu:subject=anatomy,model=openai_gpt2/stats.json, byte 18204, at $[41].mean:\n"
        "  expected a number or null, found the end of the file.\n"
        "  The run was left out, the other 3 went in. Copy the file again, then repeat the ingest."
    )


@pytest.mark.parametrize(
    ("err", "text"),
    [
        pytest.param(MagnetError("All is lost."), "All is lost.", id="message"),
        pytest.param(MagnetError("Lost.", hint="Look again."), "Lost.\n  Look again.", id="hint"),
        pytest.param(MagnetError("Bad.", expected="a list"), "Bad.\n  expected a list.", id="expected-alone"),
        pytest.param(MagnetError("Bad.", found="a list"), "Bad.\n  found a list.", id="found-alone"),
        pytest.param(MagnetError("Bad.", where=Where()), "Bad.", id="empty-place"),
    ],
)
def test_what_is_not_known_leaves_no_gap(err: MagnetError, text: str) -> None:
    assert str(err) == text


def test_names_from_a_dump_cannot_act_on_the_terminal_or_forge_a_line() -> None:
    err = MagnetError("Run x\x1b[2J.", where=Where("s/a\nb", "st\x07ats.json"), found="\u202e")
    assert str(err).splitlines() == [r"s/a\nb/st\x07ats.json:", r"  Run x\x1b[2J.", r"  found \u202e."]


def test_a_hint_may_show_lines_of_code() -> None:
    assert str(MagnetError("Bad.", hint="Write\n    pl.lit(True)")) == "Bad.\n  Write\n      pl.lit(True)"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_keeps_its_coordinates_between_processes(kind: type[MagnetError]) -> None:
    err = kind("Bad.", where=Where("s/r", "f", "$", 3), expected="a", found="b", hint="Do.")
    err.add_note("while reading")
    copy = pickle.loads(pickle.dumps(err))
    assert type(copy) is kind
    assert (copy.where, copy.expected, copy.found, copy.hint) == (Where("s/r", "f", "$", 3), "a", "b", "Do.")
    assert str(copy) == str(err) == "s/r/f, byte 3, at $:\n  Bad.\n  expected a, found b.\n  Do."
    assert copy.__notes__ == ["while reading"]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_drawing_and_ends_in_error(kind: type[MagnetError]) -> None:
    assert kind.__name__.endswith("Error")
    assert f" {kind.__name__} " in f"{errors.__doc__}".replace("\n", " \n")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (SourceNotFoundError, FileNotFoundError),
        (NoRunsError, FileNotFoundError),
        (BadFileError, ValueError),
        (CacheNotWritableError, OSError),
        (NotEnoughRunsError, ValueError),
        (NotEnoughSamplesError, RuntimeError),
        (FilterError, TypeError),
        (PredictionError, ValueError),
        (ColumnNotFoundError, ValueError),
        (UnsupportedError, NotImplementedError),
    ],
)
def test_who_expects_the_builtin_gets_it(kind: type[MagnetError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match=r"^Bad\.$"):
        raise kind("Bad.")


def test_an_unknown_column_offers_the_near_name() -> None:
    err = ColumnNotFoundError.among("stats.maen", ["stats.sum", "stats.mean"], table="stats")
    assert str(err) == "stats has no column 'stats.maen'.\n  Did you mean 'stats.mean'?"


def test_an_unknown_column_without_a_near_name_shows_a_few() -> None:
    err = ColumnNotFoundError.among("xyz", list("bcadfe"), table="stats")
    assert err.hint == "It has 6 others: a, b, c, d, e, …."


def test_a_rejection_says_what_its_error_said() -> None:
    err = BadFileError(
        "Not JSON.", where=Where("elsewhere", "stats.json", "$[1]", 7), expected="a", found="b", hint="Do."
    )
    rejected = Rejected.from_error("s/r", err)
    assert rejected == Rejected(
        run="s/r",
        file="stats.json",
        reason="Not JSON. expected a, found b.",
        json_path="$[1]",
        byte=7,
        expected="a",
        found="b",
        hint="Do.",
    )
    assert str(rejected) == "s/r/stats.json, byte 7, at $[1]:\n  Not JSON. expected a, found b.\n  Do."
    assert msgspec.json.decode(msgspec.json.encode(rejected), type=Rejected) == rejected


def test_a_rejection_of_a_whole_run_names_no_file() -> None:
    rejected = Rejected.from_error("s/r", MagnetError("It changed while it was read."))
    assert str(rejected) == "s/r:\n  It changed while it was read."
