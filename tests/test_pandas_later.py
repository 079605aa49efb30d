"""PyArrow and pandas get along as ever, though nothing of ours imports pandas."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pandas")

AFTER_AN_INGEST = """
import math, sys
import pyarrow as pa
from magnet_arrow import HelmOutputs
HelmOutputs.demo().suites("my-suite").runs().stats()
assert "pandas" not in sys.modules
"""
KNOWN = """
import pandas as pd
assert pa.array(pd.Series([1.0, math.nan])).null_count == 1
assert pa.array(pd.Index([1.0, math.nan])).null_count == 1
assert pa.types.is_dictionary(pa.array(pd.Categorical(["a"])).type)
assert pa.table(pd.DataFrame({"a": [1]})).num_rows == 1
assert not [one for one in sys.meta_path if "pandas_later" in type(one).__module__]
"""


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("", id="imported"),
        pytest.param("from pandas.api.types import is_list_like", id="a part of it imported"),
        pytest.param(
            "import importlib.util; assert importlib.util.find_spec('pandas'); assert 'pandas' not in sys.modules",
            id="looked for",
        ),
        pytest.param("assert list(pa.table({'a': [1]}).to_pandas()['a']) == [1]", id="a frame asked for"),
        pytest.param("import inspect, pandas; assert 'DataFrame' in inspect.getsource(pandas)", id="its source read"),
    ],
)
def test_arrow_knows_pandas_as_soon_as_it_is_there(then: str, tmp_path: Path) -> None:
    run(f"{AFTER_AN_INGEST}\n{then}\n{KNOWN}", tmp_path)


def test_arrow_knows_pandas_that_was_there_before(tmp_path: Path) -> None:
    run(f"import math, sys, pandas, pyarrow as pa, magnet_arrow\n{KNOWN}", tmp_path)


def run(script: str, cache: Path) -> None:
    environment = {"MAGNET_ARROW_CACHE_DIR": str(cache), "PATH": ""}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
