"""Win rates by hand, and those of HELM's own tables."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from large_dumps import dump_params

from magnet_arrow.errors import PanelError, SettingError
from magnet_arrow.evaluation.win_rates import win_rates

ROWS = {
    "ant": {"em": 0.5, "loss": 2.0, "count": 9.0, "one": 1.0},
    "bee": {"em": 0.7, "loss": 2.0, "count": 9.0, "one": None},
    "cat": {"em": 0.5, "loss": None, "count": 1.0, "one": None},
    "dog": {"em": 0.1, "loss": 3.0, "count": 2.0, "one": None},
}
DIRECTIONS = {"em": False, "loss": True, "count": None, "one": False}


def table(rows: dict[str, dict[str, float | None]]) -> pl.DataFrame:
    cells = [(model, item, score) for model, scores in rows.items() for item, score in scores.items()]
    return pl.DataFrame(cells, schema={"model": pl.String, "item": pl.String, "score": pl.Float64}, orient="row")


def rates(rows: dict[str, dict[str, float | None]], **options: object) -> dict[tuple[str, str], float | None]:
    return {(model, item): rate for model, item, rate in win_rates(table(rows), **options).frame.rows()}


def test_ties_are_half_a_win() -> None:
    # em: ant beats dog, and ties with cat: 1.5 of 3. loss: lower is better; ant ties with bee and beats dog: 1.5 of 2.
    assert rates(ROWS, lower_is_better=DIRECTIONS) == {
        ("ant", "em"): 0.5,
        ("bee", "em"): 1.0,
        ("cat", "em"): 0.5,
        ("dog", "em"): 0.0,
        ("ant", "loss"): 0.75,
        ("bee", "loss"): 0.75,
        ("cat", "loss"): None,
        ("dog", "loss"): 0.0,
    }


def test_ties_by_row() -> None:
    found = rates(ROWS, lower_is_better=DIRECTIONS, ties="row")
    assert (found["ant", "em"], found["cat", "em"]) == (1 / 3, 2 / 3)  # the later row wins
    assert (found["ant", "loss"], found["bee", "loss"]) == (1.0, 0.5)  # the earlier one where lower is better


def test_the_order_of_rows_does_not_matter_to_halves() -> None:
    assert rates(dict(reversed(ROWS.items())), lower_is_better=DIRECTIONS) == rates(ROWS, lower_is_better=DIRECTIONS)


def test_one_direction_for_all() -> None:
    rows = {model: {"em": scores["em"]} for model, scores in ROWS.items()}
    lower = rates(rows, lower_is_better=True)
    assert lower == {cell: 1 - rate for cell, rate in rates(rows).items()}


def test_infinity_is_the_largest_score() -> None:
    assert list(rates({"ant": {"loss": float("inf")}, "bee": {"loss": 1.0}}, lower_is_better=True).values()) == [0, 1]


def test_nothing_to_compare() -> None:
    with pytest.raises(PanelError, match=r"expected an item with scores of two models\."):
        win_rates(table({"ant": {"em": 1.0}, "bee": {"em": None}}))
    with pytest.raises(PanelError, match="scores of two models and a known direction") as caught:
        win_rates(table(ROWS), lower_is_better={})
    assert caught.value.hint == "lower_is_better={'gsm': False, …} says the direction of each item."


def test_wrong_arguments() -> None:
    with pytest.raises(SettingError, match="ties:\n  expected one of half, row"):
        win_rates(table(ROWS), ties="full")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="expected a bool, or one by item"):
        win_rates(table(ROWS), lower_is_better=None)  # type: ignore[arg-type]


def test_nan_and_duplicates_are_named() -> None:
    with pytest.raises(PanelError, match="found NaN for model 'ant', item 'em'"):
        win_rates(table({"ant": {"em": float("nan")}, "bee": {"em": 1.0}}))
    with pytest.raises(PanelError, match="found 2 rows for model 'ant', item 'em'"):
        win_rates(pl.concat([table(ROWS), table(ROWS)]))


# Tables with a mean win rate in HELM's files: all of bbq's follow from their cells, those of "BBQ metrics" too, as
# their ties are on columns where lower is better.
TABLES = {"mmlu": 15, "bbq": 5}


@pytest.mark.shared
@pytest.mark.parametrize("dump", dump_params(TABLES))
def test_means_are_those_of_helms_tables(dump: str, shared_dumps: Callable[[str], Path]) -> None:
    checked = 0
    for file in sorted(shared_dumps(dump).glob("**/groups/*.json")):
        for group in json.loads(file.read_bytes()):
            header = [cell.get("value") for cell in group["header"]]
            if "Mean win rate" not in header:
                continue
            first = header.index("Mean win rate")
            expected = {f"row {n}": row[first].get("value") for n, row in enumerate(group["rows"])}
            if set(expected.values()) == {None}:
                continue
            rows = {
                f"row {n}": {str(place): cell.get("value") for place, cell in enumerate(row) if place > first}
                for n, row in enumerate(group["rows"])
            }
            lower = {str(place): cell.get("lower_is_better") for place, cell in enumerate(group["header"])}
            frame = win_rates(table(rows), lower_is_better=lower, ties="row").frame
            means = dict(frame.group_by("model").agg(pl.col("score").mean()).iter_rows())
            assert means == pytest.approx(expected, abs=1e-12), (file.name, group["title"])
            checked += 1
    assert checked == TABLES[dump]
