"""The commands `emofuse ensemble`, `predict`, `report` and `demo`."""
