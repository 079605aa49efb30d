"""HELM's output as typed tables, and MAGNET's predictors on top of them.

>>> from magnet_arrow import HelmOutputs
>>> HelmOutputs.demo().suites("my-suite").runs().run_spec()["run_spec.scenario_spec.args.subject"].to_list()
['anatomy', 'anatomy', 'philosophy', 'philosophy']
"""

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would take a while to import
    from typing import Any

    from magnet_arrow import data_splits, errors, evaluation, instance_predictor, predictor
    from magnet_arrow.cache import Cache
    from magnet_arrow.checks.validate import ValidationReport, validate
    from magnet_arrow.checks.verify import VerifyReport, verify
    from magnet_arrow.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
    from magnet_arrow.evaluation.audit import audit_items
    from magnet_arrow.evaluation.evaluate import evaluate
    from magnet_arrow.evaluation.panel_predictor import AdaptivePredictor, PanelPredictor
    from magnet_arrow.evaluation.predictors.sklearn_predictor import from_sklearn
    from magnet_arrow.evaluation.ranking import pairwise_comparisons, rank
    from magnet_arrow.evaluation.record import Evaluation, load_evaluation
    from magnet_arrow.evaluation.win_rates import win_rates
    from magnet_arrow.ingestion.api import IngestReport, ingest
    from magnet_arrow.instance_predictor import InstancePredictor
    from magnet_arrow.outputs import HelmOutputs, HelmRun, HelmRuns, HelmSuite, HelmSuites
    from magnet_arrow.panels import panel
    from magnet_arrow.predictions.instance_records import InstancePrediction
    from magnet_arrow.predictions.joins import InstanceJoin, join_instances
    from magnet_arrow.predictions.model_families import model_families
    from magnet_arrow.predictions.panel import Panel, load_panel
    from magnet_arrow.predictions.records import RunPrediction
    from magnet_arrow.predictor import Predictor, RunPredictor
    from magnet_arrow.reports.report import report
    from magnet_arrow.sources.remote.settings import remote_settings
    from magnet_arrow.statistics.prediction_scores import score

del TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "AdaptivePredictor",
    "Cache",
    "Evaluation",
    "HelmOutputs",
    "HelmRun",
    "HelmRuns",
    "HelmSuite",
    "HelmSuites",
    "IngestReport",
    "InstanceJoin",
    "InstancePrediction",
    "InstancePredictor",
    "Panel",
    "PanelPredictor",
    "Predictor",
    "RunPrediction",
    "RunPredictor",
    "SequesteredTestSplit",
    "TestSplit",
    "TrainSplit",
    "ValidationReport",
    "VerifyReport",
    "__version__",
    "audit_items",
    "data_splits",
    "errors",
    "evaluate",
    "evaluation",
    "from_sklearn",
    "ingest",
    "instance_predictor",
    "join_instances",
    "load_evaluation",
    "load_panel",
    "model_families",
    "pairwise_comparisons",
    "panel",
    "predictor",
    "rank",
    "remote_settings",
    "report",
    "score",
    "validate",
    "verify",
    "win_rates",
]

_HOMES = {
    "AdaptivePredictor": "evaluation.panel_predictor",
    "Cache": "cache",
    "Evaluation": "evaluation.record",
    "HelmOutputs": "outputs",
    "HelmRun": "outputs",
    "HelmRuns": "outputs",
    "HelmSuite": "outputs",
    "HelmSuites": "outputs",
    "IngestReport": "ingestion.api",
    "InstanceJoin": "predictions.joins",
    "InstancePrediction": "predictions.instance_records",
    "InstancePredictor": "instance_predictor",
    "Panel": "predictions.panel",
    "PanelPredictor": "evaluation.panel_predictor",
    "Predictor": "predictor",
    "RunPrediction": "predictions.records",
    "RunPredictor": "predictor",
    "SequesteredTestSplit": "data_splits",
    "TestSplit": "data_splits",
    "TrainSplit": "data_splits",
    "ValidationReport": "checks.validate",
    "VerifyReport": "checks.verify",
    "audit_items": "evaluation.audit",
    "evaluate": "evaluation.evaluate",
    "from_sklearn": "evaluation.predictors.sklearn_predictor",
    "ingest": "ingestion.api",
    "join_instances": "predictions.joins",
    "load_evaluation": "evaluation.record",
    "load_panel": "predictions.panel",
    "model_families": "predictions.model_families",
    "pairwise_comparisons": "evaluation.ranking",
    "panel": "panels",
    "rank": "evaluation.ranking",
    "remote_settings": "sources.remote.settings",
    "report": "reports.report",
    "score": "statistics.prediction_scores",
    "validate": "checks.validate",
    "verify": "checks.verify",
    "win_rates": "evaluation.win_rates",
}
"""Where each public name is defined. It is imported when it is first used: most uses need a part of the package."""


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        import sys

        # With these two arguments Python offers the near name.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    import importlib

    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, name)}")
    value = getattr(home, name) if name in _HOMES else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
