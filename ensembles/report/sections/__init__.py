"""The sections of a page: each takes the facts of a run and makes blocks, or None where there is nothing to show."""
