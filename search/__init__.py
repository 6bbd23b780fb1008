"""Families to trials: recipes, one trial, Ray Tune, the prediction files."""
