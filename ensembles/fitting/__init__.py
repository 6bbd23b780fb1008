"""Fit an ensemble, estimate what it is worth, and keep its record."""
