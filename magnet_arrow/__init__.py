"""HELM's output as typed tables, and MAGNET's predictors on top of them."""

__version__ = "0.1.0"
