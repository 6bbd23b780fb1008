"""What lies on disk: a run's folder, its trials' records and predictions, and its mirror of an object store."""
