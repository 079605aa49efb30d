"""What objects show of themselves in a notebook and in a terminal: short, escaped, and without reading tables."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from evaluation_predictors import Mean
from makedump import make_run, write_run

from magnet_arrow import Cache, Panel, evaluate, ingest, validate, verify
from magnet_arrow.data_splits import draw
from magnet_arrow.query import scan_runs

EVIL = "<script>alert(1)<|script>"  # a slash cannot be in a name


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, one of which has an evil name, and a fourth that cannot be read; `cache` beside it has the three."""
    outputs = tmp_path_factory.mktemp("cards") / "outputs"
    for name in ("ant", "bee", EVIL, "cat"):
        write_run(outputs, make_run(name))
    (outputs / "runs" / "made" / "cat" / "stats.json").write_text("no JSON")
    ingest(outputs, outputs.parent / "cache")
    return outputs


def splits(dump: Path) -> Any:
    runs = [dump / "runs" / "made" / name for name in ("ant", "bee", EVIL)]
    return draw(runs, train=[0, 1], test=[2], items=["id1"])


def table() -> pl.DataFrame:
    cells = [(model, item, int(item < 2)) for model in ("owl", "wren", EVIL) for item in range(4)]
    return pl.DataFrame(cells, schema=["model", "item", "score"], orient="row")


def cache_of(dump: Path) -> Cache:
    return Cache(dump.parent / "cache")


CARDS: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    # two request states and two stats in each run
    "ingest": (
        lambda dump: ingest(dump, cache_of(dump), retry=True),
        ["0 runs ingested, 3 unchanged, 1 rejected", "Rejected: made/cat/stats.json", "0 bytes of JSON"],
    ),
    "first ingest": (lambda dump: ingest(dump, dump.parent / "other"), ["3 runs ingested, 0 unchanged", "stats 6"]),
    "validate": (validate, ["4 runs, 1 rejected", "0 values unexpected", "Rejected: made/cat/stats.json"]),
    "verify": (
        lambda dump: verify(dump, cache_of(dump)),
        ["the cache can replace the sourceno", "3 runs, 12 files", "differences0", "rejected1 run"],
    ),
    "cache": (cache_of, ["3 runs, 1 rejected", "Source: ", str(Path("cards"))]),
    "train": (lambda dump: splits(dump)[0], ["TrainSplit", "scenario_state4 rows", "antbee"]),
    "test": (lambda dump: splits(dump)[1], ["TestSplit", "scenario_state1 row", "stats2 rows", EVIL]),
    "sequestered": (
        lambda dump: splits(dump)[1].sequester("items"),
        ["SequesteredTestSplit", "run_specs1 row", "scenario_state1 row", EVIL],
    ),
    "panel": (
        lambda _: Panel.from_frame(table(), model="model", item="item", score="score"),
        ["Panel", "models3", "items4", "missing0 scores", f"owlwren{EVIL}"],
    ),
    "evaluation": (
        lambda _: evaluate(Mean, table(), folds="model", budgets=[0, 2], draws=2),
        ["targetmodel", "folds3 by model", "budgets0, 2", "3 models, 4 items, 1 scenario", "9, 0 not answered", "Mean"],
    ),
}


@pytest.mark.parametrize("what", CARDS)
def test_a_card_shows_counts_and_names_as_text(
    what: str, dump: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, expected = CARDS[what]
    shown = make(dump)
    monkeypatch.setattr(pl.LazyFrame, "collect", None)
    monkeypatch.setattr(scan_runs, "read_all", None)
    card = shown._repr_html_()
    text = html.unescape(re.sub(r"<[^|>]*>", "", card))
    assert [part for part in expected if part not in text] == []
    assert "<script" not in card
    shorter = str(dump.parent)  # the length of paths is not ours
    assert len(text.replace(shorter, "")) < 1200
    assert len(repr(shown).replace(shorter, "")) < 200


def test_a_sequestered_card_has_nothing_of_the_stats(dump: Path) -> None:
    card = splits(dump)[1].sequester("items")._repr_html_()
    assert "stats" not in card


def test_a_damaged_cache_has_a_card_that_says_so(dump: Path, tmp_path: Path) -> None:
    ingest(dump, tmp_path / "cache")
    (tmp_path / "cache" / "manifest.json").write_text("{")
    assert "manifest.json" in Cache(tmp_path / "cache")._repr_html_()


def test_plain_reprs_are_one_line_of_counts(dump: Path) -> None:
    assert repr(ingest(dump, cache_of(dump))) == "<IngestReport 0 runs ingested, 3 unchanged, 1 rejected>"
    assert repr(validate(dump)) == "<ValidationReport 4 runs, 1 rejected, 0 values unexpected>"
    assert repr(verify(dump, cache_of(dump))) == "<VerifyReport not equal: 3 runs, 12 files, 0 differences>"
