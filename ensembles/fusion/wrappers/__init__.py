"""Fusions around a fusion, which every method takes as options: bagging, shrinkage, temperatures."""
