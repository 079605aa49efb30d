"""Predictions and their comparison with the truth. In: predictions and lazy frames. Out: lazy frames."""
