"""Which points of a search space are drawn, and which first points stand before them."""
