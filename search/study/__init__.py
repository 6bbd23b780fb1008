"""Which trial comes next, and which are trained again."""
