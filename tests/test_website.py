"""The pages that are made from the code are what it says now, each page is in the navigation, and faults are found.

The site itself is built by `.ci/run`: that needs packages which no test does.
"""

import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import build_site
import pytest
import write_reference

import magnet_arrow

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_pages_of_commands_and_tables_are_those_of_the_code() -> None:
    committed = {
        path.relative_to(write_reference.FOLDER).as_posix(): path.read_text(encoding="utf-8")
        for path in write_reference.FOLDER.rglob("*.md")
    }
    written = {path for path, text in committed.items() if text.startswith(write_reference.WRITTEN_BY)}
    pages = write_reference.pages()
    assert {path: committed.get(path) for path in pages} == pages, "run `python docs/write_reference.py`"
    assert written == set(pages), "run `python docs/write_reference.py`"


def test_every_page_is_in_the_navigation_once() -> None:
    project = tomllib.loads((DOCS / "zensical.toml").read_text(encoding="utf-8"))["project"]
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    assert sorted(entries(project["nav"])) == sorted(page.relative_to(ROOT).as_posix() for page in pages)


def entries(navigation: object) -> Iterator[str]:
    if isinstance(navigation, str):
        yield navigation
    else:
        for inner in navigation.values() if isinstance(navigation, dict) else navigation:
            yield from entries(inner)


def test_every_public_class_and_function_is_in_the_python_reference_once() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference" / "api").glob("*.md"))
    named = re.findall(r"^::: magnet_arrow\.(.+)$", text, re.MULTILINE)
    public = [name for name, value in public_names(magnet_arrow) if not inspect.ismodule(value)]
    of_evaluation = {f"evaluation.{name}" for name, _ in public_names(magnet_arrow.evaluation) if name not in public}
    assert sorted(named) == sorted(["errors", *public, *of_evaluation - {"evaluation.BASELINES"}])


def public_names(module: Any) -> list[tuple[str, object]]:
    return [(name, getattr(module, name)) for name in module.__all__ if name != "__version__"]


SITE = {
    "index.html": '<h1 id="top">Home</h1><a href="docs/a.html#part">a</a> <a href="docs">all</a> <a href="#top">up</a>',
    "docs/index.html": '<a href="../index.html">home</a> <a href="https://example.org/gone">another site</a>',
    "docs/a.html": '<h2 id="part">Part</h2><script src="../a.js"></script>',
    "style.css": "a { background: url(picture.svg) }",
    "404.html": '<a href="/nowhere/">home</a>',
}


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("index.html", '<a href="b.html">b</a>', "index.html links to b.html, which does not exist"),
        ("docs/b.html", '<a href="a.html#top">a</a>', "docs/b.html links to a.html#top, which does not exist"),
        ("docs/b.html", '<script src="//cdn.example/x.js">', "docs/b.html loads //cdn.example/x.js"),
        ("docs/b.html", "<link href=https://x.example/f.css>", "docs/b.html loads https://x.example/f.css"),
        ("docs/b.html", "<style>@import 'https://x.example'</style>", "docs/b.html loads https://x.example"),
        ("style.css", "b { src: url( 'https://x.example/f' ) }", "style.css loads https://x.example/f"),
    ],
)
def test_a_fault_of_the_site_is_named(file: str, text: str, fault: str, tmp_path: Path) -> None:
    for name, content in SITE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert list(build_site.faults(tmp_path)) == []
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert fault in list(build_site.faults(tmp_path))


def test_what_a_text_holds_is_shown_as_text() -> None:
    assert write_reference.escaped("id<N>, a*b") == r"id&lt;N>, a\*b"
