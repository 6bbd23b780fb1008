"""Predictions to an ensemble: fusion, protocols, report, export, predict."""
