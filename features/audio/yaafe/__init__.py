"""YAAFE's features as its source defines them, vectorised over frames; every number is finite for any finite signal.

Where YAAFE divides by zero or takes the logarithm of nothing (silence, a frame of one click), a small number stands in.
"""
