"""Tables that users bring, and CSV that they take away."""
