"""The commands `emofuse search ...`."""
