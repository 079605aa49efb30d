"""Panels and predictors -> predictions of held-out models and runs, their scores, and rankings."""

from magnet_arrow.evaluation.panel_predictor import (
    AdaptivePredictor,
    AskedAnswers,
    PanelPredictor,
    PredictedScores,
    TrainScores,
)
from magnet_arrow.evaluation.predictors.baselines import (
    AdditiveMean,
    ItemAdjustedMean,
    NearestModels,
    SameModel,
    SameScenario,
    SampleMean,
    TrainMean,
)
from magnet_arrow.evaluation.predictors.blend import Blend
from magnet_arrow.evaluation.predictors.item_factors import RidgeOnFactors
from magnet_arrow.evaluation.predictors.item_response import FactorResponse
from magnet_arrow.evaluation.predictors.kriging import Kriging
from magnet_arrow.evaluation.predictors.one_parameter import OneParameterResponse
from magnet_arrow.evaluation.predictors.regressions import Aipw, RsLearn
from magnet_arrow.evaluation.predictors.sklearn_predictor import from_sklearn

__all__ = [
    "BASELINES",
    "AdaptivePredictor",
    "AdditiveMean",
    "Aipw",
    "AskedAnswers",
    "Blend",
    "FactorResponse",
    "ItemAdjustedMean",
    "Kriging",
    "NearestModels",
    "OneParameterResponse",
    "PanelPredictor",
    "PredictedScores",
    "RidgeOnFactors",
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
    RidgeOnFactors,
    Kriging,
    FactorResponse,
    Blend,
)
"""Every baseline; each is made without arguments."""
