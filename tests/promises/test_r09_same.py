"""R9: frames depend on the runs alone, not on how and in which order they came, or on having been compacted."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makedump import write_runs
from polars.testing import assert_frame_equal
from reading import read
from strategies import runs

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.schema import registry
from magnet_arrow.storage.maintenance import compact

RUN_TABLES = [table.name for table in registry.RUN_TABLES]


def frames(outputs: Path, cache: Path) -> dict[str, pl.DataFrame]:
    places = find_runs(outputs).places
    # The key of a run holds the random id that its source got in this cache.
    return {table: read(places, table, cache, hidden=True).drop("magnet.run") for table in RUN_TABLES}


@pytest.mark.slow
@given(st.data())
def test_orders_layouts_and_compactions(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("same")
    made = data.draw(st.tuples(*(runs(f"tide:n={number}") for number in range(4))))
    paths = write_runs(folder / "outputs", made)
    ingest(folder / "outputs", folder / "plain")
    monkeypatch.setattr(division, "SEGMENT_JSON_BYTES", data.draw(st.sampled_from([1, 5_000, 1 << 30])))
    monkeypatch.setattr(compact, "MAX_SMALL", data.draw(st.sampled_from([1, 2, 32])))
    for path in data.draw(st.permutations(paths)):
        ingest(path, folder / "cache")
        if data.draw(st.booleans()):
            Cache(folder / "cache").compact()
    for table, frame in frames(folder / "outputs", folder / "plain").items():
        assert_frame_equal(frames(folder / "outputs", folder / "cache")[table], frame)
    assert Cache(folder / "cache").check().damages == ()


def test_the_demo_in_any_layout(demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(demo_outputs, tmp_path / "plain")
    expected = frames(demo_outputs, tmp_path / "plain")
    monkeypatch.setattr(division, "SEGMENT_JSON_BYTES", 1)
    monkeypatch.setattr(compact, "MAX_SMALL", 3)
    for place in reversed(find_runs(demo_outputs).places):
        ingest(place.path, tmp_path / "cache")
    for _ in range(2):
        found = frames(demo_outputs, tmp_path / "cache")
        for table, frame in expected.items():
            assert_frame_equal(found[table], frame)
        Cache(tmp_path / "cache").compact()
    assert ingest(demo_outputs, tmp_path / "cache").runs == 0
