"""Examples: a notebook that shows what a predictor is given, two predictors that guess, and one that fits a line."""
