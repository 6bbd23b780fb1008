"""What a run keeps of its fitted ensembles: their records, read, checked and found by name."""
