import re
import subprocess
import sys
from pathlib import Path

import pytest

import magnet_arrow

NAMES = Path(__file__).parents[1] / "docs" / "README.md"


def test_all_is_what_the_documentation_lists() -> None:
    section = NAMES.read_text(encoding="utf-8").partition("## Public names")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert sorted(magnet_arrow.__all__) == sorted(re.findall(r"`(\w+)`", " ".join(cells)))


@pytest.mark.parametrize("name", magnet_arrow.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(magnet_arrow, name).__doc__


def test_nothing_else_is_public() -> None:
    modules = {path.stem for path in Path(magnet_arrow.__file__).parent.iterdir()}
    public = {name for name in vars(magnet_arrow) if not name.startswith("_")} - modules
    assert public <= set(magnet_arrow.__all__)


def test_only_public_names_are_shown() -> None:
    assert dir(magnet_arrow) == sorted(magnet_arrow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'HelmRunz'"):
        magnet_arrow.HelmRunz  # noqa: B018


def loaded_by(code: str) -> list[str]:
    code = f"import sys, magnet_arrow; {code}; print(*sorted(sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_names_are_imported_when_they_are_used() -> None:
    assert not {"polars", "pyarrow"} & set(loaded_by("magnet_arrow.__version__"))
    assert "magnet_arrow.checks.verify" not in loaded_by("magnet_arrow.HelmRuns")


def test_import_leaves_out_what_only_some_need() -> None:
    loaded = loaded_by("[getattr(magnet_arrow, name) for name in magnet_arrow.__all__]")
    assert "polars" in loaded
    assert not {"duckdb", "helm", "pandas", "torch", "typer", "rich", "magnet_arrow.cli.main"} & set(loaded)


def test_python_offers_the_near_name() -> None:
    with pytest.raises(AttributeError) as caught:
        magnet_arrow.HelmOutput  # type: ignore[attr-defined]  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("HelmOutput", magnet_arrow), "of these it makes the offer"
