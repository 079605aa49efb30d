"""Builds the documentation as a website, without the network.

A warning is an error, and so is a link that leads nowhere or a page that loads something from another host.

    pip install -e '.[docs]'
    python docs/build_site.py FOLDER

Pages are staged in the folders that they have in the repository, and the README is the home page. So the same relative
links work on the site and on a forge.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
STAGED = ("*.md", "LICENSE", "docs/**/*.md", "schemas/*.json", "benchmarks/*.*", "magnet_arrow/examples/*.*")
CONFIGURATION = ("docs/zensical.toml", "docs/doctest_blocks.py")
CSS_LOAD = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"'\s)]+)""")


class Page(HTMLParser):
    """Where a page of the site links to, what a browser loads for it, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()
        text = path.read_text(encoding="utf-8")
        self.loads.update(CSS_LOAD.findall(text))
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address and the anchor of an element."""
        values = {name: value for name, value in attrs if value}
        (self.links if tag == "a" else self.loads).update(values[name] for name in ("href", "src") if name in values)
        self.anchors.update(values[name] for name in ("id", "name") if name in values)


def stage(folder: Path) -> None:
    """Copy what the site is made of, and its configuration."""
    for pattern in STAGED:
        for file in ROOT.glob(pattern):
            copy = folder / "pages" / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    for name in CONFIGURATION:
        shutil.copyfile(ROOT / name, folder / Path(name).name)


def faults(site: Path) -> Iterator[str]:
    """Links of the site that lead nowhere, and what it would load from another host."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        for address in sorted(page.loads):
            if urlsplit(address).netloc:
                yield f"{path.relative_to(site)} loads {address}"
        for address in sorted(page.links):
            if path.name != "404.html" and not _leads_somewhere(address, path, pages):
                yield f"{path.relative_to(site)} links to {address}, which does not exist"
    for path in sorted(site.rglob("*.css")):
        for address in CSS_LOAD.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {address}"


def _leads_somewhere(address: str, start: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True  # to another site
    target = (start.parent / unquote(parts.path)).resolve() if parts.path else start
    target = target / "index.html" if target.is_dir() else target
    anchor = unquote(parts.fragment)
    return target.is_file() and (not anchor or target not in pages or anchor in pages[target].anchors)


def main() -> None:
    """Build the site in the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="gets the staged pages and `site`; it must not exist, or be empty")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty")
    stage(folder)
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=folder, check=False)
    found = list(faults(folder / "site"))
    print(f"{len(found)} faults", *found[:20], f"The site is in {folder / 'site'}", sep="\n")
    raise SystemExit(bool(done.returncode or found))


if __name__ == "__main__":
    main()
