"""Panels and predictors -> predictions of held-out models and runs, their scores, and rankings."""

from magnet_arrow.evaluation.baselines import (
    AdditiveMean,
    ItemAdjustedMean,
    NearestModels,
    SameModel,
    SameScenario,
    SampleMean,
    TrainMean,
)
from magnet_arrow.evaluation.one_parameter import OneParameterResponse
from magnet_arrow.evaluation.panel_predictor import (
    AdaptivePredictor,
    AskedAnswers,
    PanelPredictor,
    PredictedScores,
    TrainScores,
)
from magnet_arrow.evaluation.regressions import Aipw, RsLearn
from magnet_arrow.evaluation.sklearn_predictor import from_sklearn

__all__ = [
    "BASELINES",
    "AdaptivePredictor",
    "AdditiveMean",
    "Aipw",
    "AskedAnswers",
    "ItemAdjustedMean",
    "NearestModels",
    "OneParameterResponse",
    "PanelPredictor",
    "PredictedScores",
    "RsLearn",
    "SameModel",
    "SameScenario",
    "SampleMean",
    "TrainMean",
    "TrainScores",
    "from_sklearn",
]

BASELINES: tuple[type[PanelPredictor], ...] = (
    TrainMean,
    SameScenario,
    SampleMean,
    SameModel,
    AdditiveMean,
    ItemAdjustedMean,
    NearestModels,
    RsLearn,
    Aipw,
    OneParameterResponse,
)
"""Every baseline; each is made without arguments."""
