"""The live page: the report's sections of a run that goes on, served on loopback and kept up to date."""
