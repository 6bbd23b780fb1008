"""Adapters from the layouts of published corpora to a clip table."""
