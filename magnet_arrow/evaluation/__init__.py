"""Panels and predictors -> predictions of held-out models and runs, their scores, and rankings."""
