"""Rankings of models, and comparisons of pairs, as tables for people."""

import polars as pl

from magnet_arrow.cli.tables import Layout

_INTERVAL = "95% interval"
RANKING = Layout(drop=["n", "group", "ranks", _INTERVAL], least={"model": 20}, whole=["score", _INTERVAL, "ranks"])
PAIRS = Layout(drop=["n", _INTERVAL, "p_holm"], whole=["difference", _INTERVAL, "p_holm"])
_LARGE = 1000
"""From here on three decimals would be too many."""


def ranking_table(ranking: pl.DataFrame) -> pl.DataFrame:
    """A ranking as `rank` gives it, with intervals and ranges as text."""
    return ranking.select(
        "rank",
        "model",
        score=_numbers("score"),
        **{_INTERVAL: _range(_numbers("low"), _numbers("high"))},
        ranks=pl.when(pl.col("rank_low") < pl.col("rank_high"))
        .then(_range(pl.col("rank_low"), pl.col("rank_high")))
        .otherwise(pl.col("rank_low").cast(pl.String)),
        group="group",
        n="n",
    )


def pairs_table(pairs: pl.DataFrame) -> pl.DataFrame:
    """Comparisons as `pairwise_comparisons` gives them; names follow their number in the order of the ranking."""
    order = {
        name: place
        for place, name in enumerate(pl.concat([pairs["first"], pairs["second"]]).unique(maintain_order=True), 1)
    }
    numbered = pl.col("first", "second").replace_strict({name: f"{place} {name}" for name, place in order.items()})
    return pairs.select(
        numbered,
        difference=_numbers("difference"),
        **{_INTERVAL: _range(_numbers("low"), _numbers("high"))},
        p_holm=pl.col("p_holm").map_elements(lambda p: "<0.0001" if p < 0.0001 else f"{p:.4f}", pl.String),
        n="n",
    )


def _numbers(name: str) -> pl.Expr:
    return pl.col(name).map_elements(lambda x: f"{x:.3f}" if abs(x) < _LARGE else f"{x:.6g}", pl.String)


def _range(low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """From low to high; null if there is none."""
    return pl.concat_str(low, high, separator=" – ")
