"""R13: a cache of an older schema version reads, exports and restores without loss.

The registry follows from the structs, so another version is a copy of the package with other structs. What it gives of
a cache is compared with what this version gives, and the restored files with the source. `data/cache_v1_format_2` was
ingested by commit c42d928 from `data/cache_v1/source`, as `make_cache_v1.py` does it.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from read_everything import main as read_everything

import magnet_arrow
from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.schema import registry
from magnet_arrow.storage import manifest
from magnet_arrow.storage.manifest import Source

DATA = Path(__file__).parents[1] / "data"
TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")
ADAPTER_SPECS = ("run_spec.adapter_spec", "scenario_state.adapter_spec")
COMPLETIONS = "scenario_state.request_states.result.completions"


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The oldest, one of commit c42d928, and a new one; each with its source."""
    found = {}
    for name, kept in (("oldest", "cache_v1/cache"), ("c42d928", "cache_v1_format_2"), ("new", None)):
        folder = tmp_path_factory.mktemp(name)
        source, cache = folder / "source", folder / "cache"
        shutil.copytree(DATA / "cache_v1" / "source", source)
        if kept is None:
            ingest(source, cache, partial=True)
        else:
            shutil.copytree(DATA / kept, cache)
            held = manifest.read_manifest(cache)
            here = tuple(Source(one.id, str(source)) for one in held.sources)
            data = manifest.manifest_bytes(msgspec.structs.replace(held, sources=here))
            (cache / manifest.MANIFEST).write_bytes(data)
        read_everything(Cache(cache), source, folder / "here")
        found[name] = folder, source
    return found


Change = Callable[[str], str]


def added(structs: str) -> str:
    structs = before(structs, "AdapterSpec", "method", 'zeroth: Annotated[str | None, Doc("?", since="0.6.0")] = None')
    return before(structs, "GeneratedOutput", "text", 'rank: Annotated[int | None, Doc("?", since="0.6.0")] = None')


def removed(structs: str) -> str:
    fields = (("AdapterSpec", "instructions"), ("GeneratedOutput", "logprob"), ("Stat", "variance"))
    for struct, field in (*fields, ("RunSpec", "groups"), ("MetricSpec", "args")):
        structs, _ = without(structs, struct, field)
    return structs


def reordered(structs: str) -> str:
    fields = (("AdapterSpec", "method", "instructions"), ("GeneratedOutput", "text", "tokens"))
    for struct, first, later in (*fields, ("Stat", "count", "mean"), ("MetricSpec", "class_name", "args")):
        structs, field = without(structs, struct, later)
        structs = before(structs, struct, first, field.strip())
    return structs


def before(structs: str, struct: str, field: str, new: str) -> str:
    head, line, rest = structs.partition(f"class {struct}(")
    assert line, struct
    place = rest.index(f"\n    {field}: Annotated[")
    return f"{head}{line}{rest[:place]}\n    {new}{rest[place:]}"


def without(structs: str, struct: str, field: str) -> tuple[str, str]:
    head, line, rest = structs.partition(f"class {struct}(")
    found = re.search(rf"\n    {field}: Annotated\[.*?(?=\n    [a-z_]+: |\n\n\n)", rest, re.DOTALL)
    assert line, struct
    assert found, field
    return head + line + rest[: found.start()] + rest[found.end() :], found.group()


NEXT = registry.SCHEMA_VERSION + 1


def under(change: Change, version: int, caches: dict[str, tuple[Path, Path]], folder: Path) -> None:
    """Read each cache by a package of another schema, into a folder of its name."""
    package = folder / "package" / "magnet_arrow"
    shutil.copytree(Path(magnet_arrow.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    structs = package / "helm" / "structs.py"
    structs.write_text(change(structs.read_text("utf-8")), "utf-8")
    schema = package / "schema" / "registry.py"
    text = schema.read_text("utf-8")
    line = f"\nSCHEMA_VERSION = {registry.SCHEMA_VERSION}\n"
    assert line in text
    schema.write_text(text.replace(line, f"\nSCHEMA_VERSION = {version}\n"), "utf-8")
    code = f"import sys; sys.path[:0] = {[str(package.parent), str(DATA.parent)]!r}\n" + (
        "from pathlib import Path\nfrom read_everything import *\n"
        "for at in range(1, len(sys.argv), 3):\n"
        "    main(Cache(sys.argv[at]), Path(sys.argv[at + 1]), Path(sys.argv[at + 2]))\n"
    )
    arguments = [str(part) for name, (at, source) in caches.items() for part in (at / "cache", source, folder / name)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    # Three runs, and the suite; nothing differs from the source.
    assert done.stdout.split("\n")[:-1] == [f"{version} 3 0"] * len(caches)


def frame(folder: Path, way: str, table: str) -> pl.DataFrame:
    path = folder / way / table / "part-00000.parquet" if way == "export" else folder / way / f"{table}.parquet"
    return pl.read_parquet(path, hive_partitioning=False).sort(*sort_by(way))


def sort_by(way: str) -> tuple[str, str]:
    return ("magnet_run", "magnet_row") if way == "duckdb" else ("magnet.run", "magnet.row")


def assert_restored(source: Path, restored: Path) -> None:
    files = sorted(path.relative_to(source) for path in source.rglob("tide*/*.json"))
    assert files == sorted(path.relative_to(restored) for path in restored.rglob("*.json"))
    for file in files:
        expected, found = (json.loads((folder / file).read_text("utf-8")) for folder in (source, restored))
        assert repr(plain_json(found)) == repr(plain_json(expected)), file  # so that NaN is NaN


def plain_json(value: Any) -> Any:
    """Without an order of keys; 1 and 1.0 are one value where HELM declares a number."""
    if isinstance(value, dict):
        return {key: plain_json(value[key]) for key in sorted(value)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return [plain_json(item) for item in value] if isinstance(value, list) else value


WAYS = ("frame", "scan", "export", "duckdb")


@pytest.mark.slow
@pytest.mark.parametrize("change", [added, pytest.param(reordered, marks=pytest.mark.slow)])
def test_columns_added_or_reordered(change: Change, caches: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    under(change, NEXT, caches, tmp_path)
    for name, (folder, source) in caches.items():
        assert_restored(source, tmp_path / name / "restored")
        for table in TABLES:
            for way in WAYS:
                expected, found = frame(folder / "here", way, table), frame(tmp_path / name, way, table)
                new = set(found.columns) - set(expected.columns)
                if way in ("scan", "duckdb") and change is added and table in ("run_spec", "scenario_state"):
                    assert new == {f"{table}.adapter_spec.zeroth".replace(".", "_" if way == "duckdb" else ".")}
                    assert found.get_column(new.pop()).null_count() == found.height
                else:
                    assert new == set()  # of default frames: those that occur
                found = found.select(expected.columns)
                assert_frame_equal(plain(found), plain(expected))


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Completions without the order of their fields, and without the one that is new."""
    name = next((name for name in rows.columns if name in (COMPLETIONS, COMPLETIONS.replace(".", "_"))), None)
    specs = next((name for name in rows.columns if name in ("run_spec.metric_specs", "run_spec_metric_specs")), None)
    columns = []
    if name is not None:
        fields = ("text", "logprob", "tokens", "finish_reason")
        columns.append(pl.col(name).list.eval(pl.struct(*(pl.element().struct.field(field) for field in fields))))
    if specs is not None:
        columns.append(
            pl.col(specs).list.eval(pl.struct(*(pl.element().struct.field(field) for field in ("class_name", "args"))))
        )
    return rows.with_columns(columns)


@pytest.mark.slow
def test_columns_removed(caches: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    """What has no column any more is in the residual, as if it were ingested now."""
    under(removed, NEXT, caches, tmp_path)
    gone = {
        "run_spec": {"run_spec.adapter_spec.instructions", "run_spec.groups"},
        "scenario_state": {"scenario_state.adapter_spec.instructions"},
        "stats": {"stats.variance"},
        "per_instance_stats": {"per_instance_stats.stats.variance"},
    }
    for name, (folder, source) in caches.items():
        assert_restored(source, tmp_path / name / "restored")
        for table in TABLES:
            for way in ("frame", "scan", "export"):
                expected, found = frame(folder / "here", way, table), frame(tmp_path / name, way, table)
                lost = set(expected.columns) - set(found.columns)
                assert lost <= gone[table]
                kept = [
                    one for one in found.columns if one not in ("magnet.extra", COMPLETIONS, "run_spec.metric_specs")
                ]
                assert_frame_equal(found.select(kept), expected.select(kept))
        check_residuals(tmp_path / name)


def check_residuals(found: Path) -> None:
    """By hand, from `makedump`: see `adapter_spec`, `run_spec`, `request_state` and `stat` there."""
    for way in ("frame", "scan", "export", "duckdb"):
        extra = "magnet_extra" if way == "duckdb" else "magnet.extra"
        specs = [json.loads(text) for text in frame(found, way, "run_spec")[extra]]
        assert [spec["/adapter_spec/instructions"] for spec in specs] == ["Answer in one word."] * 3
        assert [spec["/groups"] for spec in specs] == [["tides"]] * 3
        states = [json.loads(text) for text in frame(found, way, "scenario_state")[extra]]
        assert {state["~beside"]["/adapter_spec/instructions"] for state in states} == {"Answer in one word."}
        if way != "duckdb":  # which has the whole list there
            assert [spec["/metric_specs/0/args"] for spec in specs] == [{"names": ["exact_match"], "k": 1}] * 3
            assert {state["/result/completions/0/logprob"] for state in states} == {-0.25}


@pytest.mark.slow
def test_a_run_of_the_newer_version_beside_older_ones(caches: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    """One cache, two versions: frames over both, compaction, and the older runs ingested again from their source."""
    folder, source = caches["c42d928"]
    cache = tmp_path / "cache"
    shutil.copytree(folder / "cache", cache)
    package = tmp_path / "package" / "magnet_arrow"
    under(added, NEXT, {}, tmp_path)
    code = f"import sys; sys.path[:0] = {[str(package.parent), str(DATA.parent)]!r}\n" + CODE
    done = subprocess.run(
        [sys.executable, "-c", code, str(cache), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


CODE = """
from pathlib import Path
from magnet_arrow import Cache, ingest, verify
from magnet_arrow.schema import registry
from magnet_arrow.query.scan_runs import select_runs
cache, source = Cache(sys.argv[1]), Path(sys.argv[2])

def versions():
    return {run.entry.folder: run.schema_version for run in cache.snapshot().runs.values()}

def instructions():
    snapshot = cache.snapshot()
    names = ["run_spec.adapter_spec.zeroth", "run_spec.adapter_spec.instructions", "run_spec.groups"]
    frame = select_runs(snapshot, "run_spec", list(snapshot.runs), ["run_spec.name", *names]).lazy().collect()
    return frame.sort("run_spec.name").rows()

word, groups = "Answer in one word.", ["tides"]
names = ["tide:place=bay", "tide:place=cove", "tide:place=straits"]
assert versions() == {"tide-place=bay": 1, "tide-place=cove": 1, "tide-place=straits": 1}
assert instructions() == [(name, None, word, groups) for name in names]
cove = source / "runs" / "v1" / "tide-place=cove"
spec = cove / "run_spec.json"
text = spec.read_text()
spec.write_text(text.replace('"adapter_spec": {', '"adapter_spec": {"zeroth": "new", ', 1))
report = ingest(cove, cache)
assert (report.runs, report.skipped) == (1, 0), report
assert versions() == {"tide-place=bay": 1, "tide-place=cove": registry.SCHEMA_VERSION, "tide-place=straits": 1}
rows = [(name, "new" if name == names[1] else None, word, groups) for name in names]
assert instructions() == rows
cache.compact(grace_s=0)
assert instructions() == rows
assert cache.check().damages == ()
assert verify(source, cache).n_differences == 0
report = ingest(source, cache, partial=True)
assert (report.runs, report.skipped) == (2, 1), report
assert set(versions().values()) == {registry.SCHEMA_VERSION}
assert instructions() == rows
cache.compact(grace_s=0)
assert instructions() == rows
assert verify(source, cache).n_differences == 0
spec.write_text(text)
"""
