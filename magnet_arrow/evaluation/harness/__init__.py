"""An evaluation at work: folds, budgets, calls of predictors, and the frame of what they predicted."""
