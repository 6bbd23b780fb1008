"""A run's trials in the tools in which others track experiments: CSV, MLflow, W&B. Nothing of it runs in a trial."""
