"""Arrays to scores: the architecture families, one readable file each."""
