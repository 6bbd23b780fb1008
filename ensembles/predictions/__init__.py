"""The stored predictions of a run, read fast and typed by what they may be used for."""
