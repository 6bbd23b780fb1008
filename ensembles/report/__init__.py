"""The report: one HTML file with everything inside, readable without a network."""

from ensembles.report.page import write_report

__all__ = ["write_report"]
