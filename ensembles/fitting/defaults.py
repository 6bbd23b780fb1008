"""The method that is fitted where none is asked for."""

# Chooses between safe and flexible fusions inside the nested folds; docs/fusion.md has what it reaches.
DEFAULT_METHOD = "auto"
