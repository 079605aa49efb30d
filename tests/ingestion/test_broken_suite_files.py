"""Files beside runs that are broken: reported each time, kept as far as they can be, and no matter to the runs."""

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from makedump import make_run, write_run

from magnet_arrow import Cache, IngestReport, ValidationReport, VerifyReport, ingest, validate, verify
from magnet_arrow.cli.commands.ingest import ingest_code
from magnet_arrow.cli.exit_codes import ExitCode

WHOLE = json.dumps([{"title": "Tides", "header": [], "rows": []}])


NAMES = ["groups.json", "groups/tides.json", "groups/json/tides_all.json", "run_specs.json"]
TEXTS = ['[{"title": "half a table', "", "{", '{"title": 1}]']


@dataclass(frozen=True)
class Ingested:
    """A dump with a suite for each broken file, after two ingests, and one more with the files mended."""

    suites: dict[tuple[str, str], str]
    reports: list[IngestReport]
    mended: IngestReport
    rejects: pl.DataFrame
    texts: pl.DataFrame
    verified: VerifyReport
    validated: ValidationReport
    rejects_of_mended: pl.DataFrame


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    folder = tmp_path_factory.mktemp("suites")
    outputs, cache = folder / "outputs", folder / "cache"
    suites = {pair: f"made{number}" for number, pair in enumerate(product(NAMES, TEXTS))}
    for (name, text), suite in suites.items():
        write_run(outputs, make_run("a:x=1"), suite=suite)
        file = outputs / "runs" / suite / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    reports = [ingest(outputs, cache) for _ in range(2)]
    rejects = Cache(cache).rejects()
    texts = Cache(cache).scan("suite_files").collect()
    verified, validated = verify(outputs, cache), validate(outputs)
    for (name, _), suite in suites.items():
        (outputs / "runs" / suite / name).write_text(WHOLE)
    mended = ingest(outputs, cache)
    return Ingested(suites, reports, mended, rejects, texts, verified, validated, Cache(cache).rejects())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_broken_file_is_reported_at_each_ingest(name: str, text: str, ingested: Ingested) -> None:
    suite = ingested.suites[name, text]
    for report in ingested.reports:
        [lacking] = [one for one in report.lacking if one.run == suite]
        assert lacking.file == name
        assert "kept as text in suite_files" in (lacking.hint or "")
        assert report.rejected == ()
        assert ingest_code(report) == ExitCode.REPORTED
    rejects = ingested.rejects.filter(suite=suite).select("folder", "left_out", "file")
    assert rejects.rows() == [("", "table", name)]
    texts = ingested.texts.filter(pl.col("magnet.run").str.contains(f"/{suite}/"))
    assert texts.select("suite_files.path", "suite_files.text").rows() == [(name, text)]
    assert [one for one in ingested.validated.suites if one.suite == suite and one.unexpected]


def test_what_is_kept_as_text_is_equal_and_what_is_mended_is_reported_no_more(ingested: Ingested) -> None:
    assert ingested.verified.is_equal
    assert not ingested.validated.is_clean
    assert ingested.mended.lacking == ()
    assert ingested.rejects_of_mended.is_empty()


def test_a_file_that_is_no_text_is_reported_too(outputs: Path, cache: Path) -> None:
    (outputs / "runs/made/groups.json").write_bytes(b'"caf\xe9"')
    for _ in range(2):
        report = ingest(outputs, cache)
        assert [(one.run, one.file, one.reason) for one in report.lacking] == [
            ("made", "groups.json", "It is not kept: it is no UTF-8 text of at most 67.1 MB.")
        ]
    assert Cache(cache).rejects()["left_out"].to_list() == ["file"]


def test_what_is_in_order_is_not_reported(outputs: Path, cache: Path) -> None:
    (outputs / "runs/made/groups.json").write_text(WHOLE)
    (outputs / "runs/made/notes.json").write_text("{")  # no table is made of it, and it is kept as it is
    (outputs / "runs/made/runs.json").write_text("[]")  # derived
    assert ingest(outputs, cache).lacking == ()
    assert Cache(cache).scan("groups").collect().height == 1


@pytest.mark.parametrize("text", ["", "{"])
def test_a_file_of_a_suite_without_others_is_reported_by_validate(outputs: Path, text: str) -> None:
    suite = outputs / "runs/made"
    for other in [path for path in suite.iterdir() if path.is_file()]:
        other.unlink()
    assert validate(outputs).suites == ()
    (suite / "groups.json").write_text(text)
    found = validate(outputs)
    assert [(one.suite, one.unexpected) for one in found.suites] == [
        ("made", {("in no table: expected JSON, found the end of the file", "groups.json $"): 1})
    ]
