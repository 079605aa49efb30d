"""A page of HTML, read back with the parser of the standard library."""

from html.parser import HTMLParser

Table = list[list[str]]


class Elements(HTMLParser):
    """The tags of a page with their attributes, its text, and its tables by caption: rows of cells, headers first."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, Table] = {}
        self._table: Table = []
        self._caption: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        match tag:
            case "table":
                self._table, self._caption = [], []
            case "tr":
                self._table.append([])
            case "th" | "td":
                self._table[-1].append("")
        if tag in ("caption", "th", "td"):
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        if tag == "table":
            self.tables["".join(self._caption)] = self._table

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside == "caption":
            self._caption.append(data)
        elif self._inside:
            self._table[-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, caption: str) -> Table:
        """The table whose caption begins like this."""
        return next(table for title, table in self.tables.items() if title.startswith(caption))
