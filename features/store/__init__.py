"""The feature store: sets on disk, written part by part, read memory-mapped."""
