"""Fusion methods over stored predictions, in the manner of scikit-learn estimators."""
