"""Files with pictures, and how large a file must be that only its beginning is looked at for some."""

import json
from pathlib import Path

import pytest

from magnet_arrow.ingestion import batch_reader, reading, run_reader


def write_pictured(run: Path) -> Path:
    """Write a `display_predictions.json` of ten instances, with a picture of 2,000 bytes each."""
    shown = {"train_trial_index": 0, "predicted_text": "A", "base64_images": ["x" * 2_000], "stats": {}}
    predictions = [{"instance_id": f"id{number}", **shown} for number in range(10)]
    file = run / "display_predictions.json"
    file.write_text(json.dumps(predictions, indent=2))
    return file


def peek_at_files_of(size_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files from this size on, the beginning is looked at before the file is read."""
    for module, name in ((reading, "PEEKED_BYTES"), (run_reader, "PEEKED_BYTES"), (batch_reader, "_SHORT_BYTES")):
        monkeypatch.setattr(module, name, size_bytes)
