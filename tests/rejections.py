"""A sound run and one that tests break, and what they say of its rejection."""

from pathlib import Path

from makedump import make_run, write_run

from magnet_arrow.errors import Rejected
from magnet_arrow.ingestion.api import IngestReport

VICTIM, SOUND = "tide:n=1", "tide:n=2"


def write_victim_and_sound(outputs: Path) -> Path:
    """Write both runs; returns the outputs folder."""
    for name in (VICTIM, SOUND):
        write_run(outputs, make_run(name))
    return outputs


def assert_rejected(
    report: IngestReport, file: str, json_path: str | None, byte: int | None, expected: str, found: str
) -> None:
    """The victim alone is out, for this reason; of what was found the beginning is enough."""
    [rejected] = report.rejected
    assert rejected.run == f"made/{VICTIM}"
    assert_reason(rejected, file, json_path, byte, expected, found)
    assert report.runs == 1


def assert_reason(
    rejected: Rejected, file: str, json_path: str | None, byte: int | None, expected: str, found: str
) -> None:
    assert (rejected.file, rejected.json_path, rejected.byte) == (file, json_path, byte)
    assert rejected.expected == expected
    assert str(rejected.found).startswith(found)
