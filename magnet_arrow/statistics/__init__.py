"""Predicted and actual values -> scores with intervals, and comparisons of models and predictors."""
