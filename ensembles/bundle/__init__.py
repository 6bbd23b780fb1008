"""Refit, export, predict."""
