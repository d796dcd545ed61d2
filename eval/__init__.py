"""How good it is: corpora, features, folds, training, recall, energy."""
