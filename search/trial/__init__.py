"""One trial in one process: read, fit, predict, whatever goes wrong."""
