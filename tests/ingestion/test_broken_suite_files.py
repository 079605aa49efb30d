"""Files beside runs that are broken: reported each time, kept as far as they can be, and no matter to the runs."""

import json
from pathlib import Path

import pytest

from magnet_arrow import Cache, ingest, validate, verify
from magnet_arrow.cli.commands.ingest import ingest_code
from magnet_arrow.cli.exit_codes import ExitCode

WHOLE = json.dumps([{"title": "Tides", "header": [], "rows": []}])


@pytest.mark.parametrize("name", ["groups.json", "groups/tides.json", "groups/json/tides_all.json", "run_specs.json"])
@pytest.mark.parametrize("text", ['[{"title": "half a table', "", "{", '{"title": 1}]'])
def test_a_broken_file_is_reported_at_each_ingest(outputs: Path, cache: Path, name: str, text: str) -> None:
    file = outputs / "runs/made" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for _ in range(2):
        report = ingest(outputs, cache)
        assert [(one.run, one.file) for one in report.lacking] == [("made", name)]
        assert "kept as text in suite_files" in (report.lacking[0].hint or "")
        assert report.rejected == ()
        assert ingest_code(report) == ExitCode.REPORTED
    rejects = Cache(cache).rejects().select("suite", "folder", "left_out", "file")
    assert rejects.rows() == [("made", "", "table", name)]
    texts = Cache(cache).scan("suite_files").select("suite_files.path", "suite_files.text").collect()
    assert texts.rows() == [(name, text)]
    assert verify(outputs, cache).is_equal
    assert not validate(outputs).is_clean
    file.write_text(WHOLE)
    assert ingest(outputs, cache).lacking == ()
    assert Cache(cache).rejects().is_empty()


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
