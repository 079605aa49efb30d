"""An extension of griffe, which reads docstrings for the website: examples become code blocks.

Ours stand in the text of a docstring, where doctest runs them. griffe knows them only in a section of their own, and
Markdown takes `>>>` for a quotation.
"""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^>>> .*?(?=\n\n(?!>>> )|\Z)", re.MULTILINE | re.DOTALL)


class DoctestBlocks(griffe.Extension):
    """Puts each paragraph that begins with `>>>` into a fence, with the examples that follow it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring and ">>> " in obj.docstring.value:
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
