"""HELM's output as typed tables, and MAGNET's predictors on top of them.

>>> from magnet_arrow import HelmOutputs
>>> HelmOutputs.demo().suites("my-suite").runs().run_spec()["run_spec.scenario_spec.args.subject"].to_list()
['anatomy', 'anatomy', 'philosophy', 'philosophy']
"""

from magnet_arrow import data_splits, errors, predictor
from magnet_arrow.cache.store import Cache
from magnet_arrow.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.ingestion import IngestReport, ingest
from magnet_arrow.outputs import HelmOutputs, HelmRun, HelmRuns, HelmSuite, HelmSuites
from magnet_arrow.predictions import RunPrediction
from magnet_arrow.predictor import Predictor, RunPredictor
from magnet_arrow.validation import ValidationReport, validate
from magnet_arrow.verification import VerifyReport, verify

__version__ = "0.1.0"

__all__ = [
    "Cache",
    "HelmOutputs",
    "HelmRun",
    "HelmRuns",
    "HelmSuite",
    "HelmSuites",
    "IngestReport",
    "Predictor",
    "RunPrediction",
    "RunPredictor",
    "SequesteredTestSplit",
    "TestSplit",
    "TrainSplit",
    "ValidationReport",
    "VerifyReport",
    "__version__",
    "data_splits",
    "errors",
    "ingest",
    "predictor",
    "validate",
    "verify",
]
