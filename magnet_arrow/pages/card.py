"""A card for notebooks: a title, a few facts and notes."""

from collections.abc import Mapping, Sequence

from magnet_arrow._text import for_html

MAX_NOTES = 5
"""So many names or reasons are in a card."""

# No colours but half-transparent grey, and no style element: what is around it, light or dark, stays as it is.
_GREY = "rgba(128,128,128,.45)"
_BOX = f"border:1px solid {_GREY};border-radius:6px;padding:.5em .9em;margin:.3em 0;max-width:52em"
_FACTS = "display:grid;grid-template-columns:max-content 1fr;gap:.1em 1.2em;margin:.4em 0 0"
_WRAPPED = "margin:0;overflow-wrap:anywhere"
_NOTE = "margin:.4em 0 0;overflow-wrap:anywhere"


def card(title: str, facts: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """A short HTML card for `_repr_html_`. It inherits font and colours, and styles nothing outside of itself.

    Args:
        title: what the object is.
        facts: a few names and values.
        notes: sentences below them.
    """
    pairs = "".join(
        f'<dt style="font-weight:600;margin:0">{for_html(name)}</dt><dd style="{_WRAPPED}">{for_html(value)}</dd>'
        for name, value in facts.items()
    )
    body = f'<dl style="{_FACTS}">{pairs}</dl>' if pairs else ""
    below = "".join(f'<p style="{_NOTE}">{for_html(note)}</p>' for note in notes)
    return f'<div style="{_BOX}"><strong>{for_html(title)}</strong>{body}{below}</div>'


def few(texts: Sequence[str]) -> list[str]:
    """The first few texts, and how many more there are.

    >>> few(["a", "b", "c", "d", "e", "f", "g"])
    ['a', 'b', 'c', 'd', 'e', '… 2 more']
    """
    rest = len(texts) - MAX_NOTES
    return [*texts[:MAX_NOTES], *([f"… {rest:,} more"] if rest > 0 else [])]
