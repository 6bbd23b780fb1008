"""Faces: detection, tracking, alignment, crops."""
