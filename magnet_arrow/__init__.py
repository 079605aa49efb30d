"""HELM's output as typed tables, and MAGNET's predictors on top of them.

>>> from magnet_arrow import HelmOutputs
>>> HelmOutputs.demo().suites("my-suite").runs().run_spec()["run_spec.scenario_spec.args.subject"].to_list()
['anatomy', 'anatomy', 'philosophy', 'philosophy']
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
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

_HOMES = {
    "Cache": "cache.store",
    "HelmOutputs": "outputs",
    "HelmRun": "outputs",
    "HelmRuns": "outputs",
    "HelmSuite": "outputs",
    "HelmSuites": "outputs",
    "IngestReport": "ingestion",
    "Predictor": "predictor",
    "RunPrediction": "predictions",
    "RunPredictor": "predictor",
    "SequesteredTestSplit": "data_splits",
    "TestSplit": "data_splits",
    "TrainSplit": "data_splits",
    "ValidationReport": "validation",
    "VerifyReport": "verification",
    "ingest": "ingestion",
    "validate": "validation",
    "verify": "verification",
}
"""Where each public name is defined. It is imported when it is first used: most uses need a part of the package."""


def __getattr__(name: str) -> _typing.Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _importlib.import_module(f"{__name__}.{_HOMES.get(name, name)}")
    value = getattr(home, name) if name in _HOMES else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
