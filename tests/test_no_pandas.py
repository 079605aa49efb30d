"""A process that is ours alone gets along without pandas, where it is installed and where it is not."""

import subprocess
import sys

from magnet_arrow import HelmOutputs

USE = """
import sys
from magnet_arrow._no_pandas import hide_pandas
hide_pandas()
import polars as pl
import pyarrow as pa
assert pa.array(range(3)).to_pylist() == [0, 1, 2]
assert pl.DataFrame({"a": [1]}).to_arrow().num_rows == 1
assert "pandas" not in sys.modules
try:
    import pandas
except ModuleNotFoundError as error:
    assert error.name == "pandas"
else:
    raise AssertionError("pandas can be imported")
"""
SHOWN_BEFORE = """
import sys
from types import ModuleType
mine = sys.modules["pandas"] = ModuleType("pandas")
from magnet_arrow._no_pandas import hide_pandas
before = list(sys.meta_path)
hide_pandas()
import pandas
assert pandas is mine
assert sys.meta_path == before
"""


def test_arrow_and_polars_work_without_pandas() -> None:
    subprocess.run([sys.executable, "-c", USE], check=True, timeout=120)


def test_pandas_that_is_imported_stays() -> None:
    subprocess.run([sys.executable, "-c", SHOWN_BEFORE], check=True, timeout=120)


SAMPLES = """
import sys
from magnet_arrow import HelmOutputs
runs = HelmOutputs.demo().suites("my-suite").runs()
assert runs.samples().height == 28
assert runs.scores().height == 4
assert "pandas" not in sys.modules
"""


def test_samples_do_not_import_pandas() -> None:
    HelmOutputs.demo().suites("my-suite").runs().run_spec()  # an ingest may import it
    subprocess.run([sys.executable, "-c", SAMPLES], check=True, timeout=120)
