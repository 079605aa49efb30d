"""Rankings of models, and comparisons of pairs, as tables that fit a terminal."""

from collections.abc import Iterable, Iterator

import polars as pl
from rich.cells import cell_len

from magnet_arrow._text import for_terminal
from magnet_arrow.cli.tables import lines

_SHORTEST_NAME = 12
_LARGE = 1000
"""From here on three decimals would be too many."""


def ranking_lines(ranking: pl.DataFrame, width: int) -> Iterator[str]:
    """A ranking as `rank` gives it; long names are shortened in the middle.

    Args:
        ranking: the ranking.
        width: of the terminal.
    """
    shown = ranking.select(
        "rank",
        "model",
        score=_numbers("score"),
        **{"95% interval": _range(_numbers("low"), _numbers("high"))},
        ranks=pl.when(pl.col("rank_low") < pl.col("rank_high"))
        .then(_range(pl.col("rank_low"), pl.col("rank_high")))
        .otherwise(pl.col("rank_low").cast(pl.String)),
        group="group",
        n="n",
    )
    return fitting(shown, ["model"], width)


def pairs_lines(pairs: pl.DataFrame, width: int) -> Iterator[str]:
    """Comparisons as `pairwise_comparisons` gives them; names follow their number in the order of the ranking.

    Args:
        pairs: the comparisons.
        width: of the terminal.
    """
    order = {
        name: place
        for place, name in enumerate(pl.concat([pairs["first"], pairs["second"]]).unique(maintain_order=True), 1)
    }
    numbered = pl.col("first", "second").replace_strict({name: f"{place} {name}" for name, place in order.items()})
    shown = pairs.select(
        numbered,
        difference=_numbers("difference"),
        **{"95% interval": _range(_numbers("low"), _numbers("high"))},
        p_holm=pl.col("p_holm").map_elements(lambda p: "<0.0001" if p < 0.0001 else f"{p:.4f}", pl.String),
        n="n",
    )
    return fitting(shown, ["first", "second"], width)


def fitting(frame: pl.DataFrame, names: list[str], width: int) -> Iterator[str]:
    """A frame as lines of text, made to fit `width` by shortening the texts in some columns, to 12 characters at least.

    Args:
        frame: the frame.
        names: the columns whose texts may be shortened; equal texts stay equal in all of them.
        width: of the terminal.
    """
    taken = max(map(cell_len, lines(frame.drop(names))))
    room = max((width - taken) // len(names) - 2, _SHORTEST_NAME)
    short = shortened([text for name in names for text in frame[name]], room)
    return lines(frame.with_columns(pl.col(names).replace_strict(short, return_dtype=pl.String)))


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name; without its middle if it is wider than `width`.

    As much is kept of its beginning as of its end, or less of the beginning where otherwise two names would become
    equal. Names that differ only in the middle may still become equal.

    >>> list(shortened(["org/llama-3-70b-chat", "org/llama-3-8b-chat", "gpt"], 10).values())
    ['or…0b-chat', 'or…8b-chat', 'gpt']
    """
    known = {name: for_terminal(name) for name in names}
    tried = [{name: _without_middle(text, width, parts) for name, text in known.items()} for parts in (2, 3, 4, 6)]
    return max(tried, key=lambda short: len(set(short.values())))  # the first of the best


def _without_middle(text: str, width: int, parts: int) -> str:
    """The text with its middle replaced by …; of the characters that are kept, 1 of `parts` is at the beginning."""
    if cell_len(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        begin, end = text[: kept // parts], text[len(text) - (kept - kept // parts) :]
        if cell_len(begin) + cell_len(end) < width:
            return f"{begin}…{end}"
    return "…"


def _numbers(name: str) -> pl.Expr:
    return pl.col(name).map_elements(lambda x: f"{x:.3f}" if abs(x) < _LARGE else f"{x:.6g}", pl.String)


def _range(low: pl.Expr, high: pl.Expr) -> pl.Expr:
    """From low to high; null if there is none."""
    return pl.concat_str(low, high, separator=" – ")
