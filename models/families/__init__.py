"""The architecture families; `models.registry` finds them by name."""
