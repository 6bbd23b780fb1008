"""Fit an ensemble, and estimate what it is worth."""
