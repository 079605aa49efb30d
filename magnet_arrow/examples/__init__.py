"""Examples to start from: a notebook that shows what a predictor is given, and a predictor that guesses."""
