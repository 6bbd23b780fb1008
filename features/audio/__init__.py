"""Audio feature sets."""
