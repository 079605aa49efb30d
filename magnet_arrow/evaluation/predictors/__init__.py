"""Predictors of panels: baselines, our own, and those of other libraries."""
