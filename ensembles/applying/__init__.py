"""A bundle applied to many clips: which ones, by how many processes, and the files that hold what it says of them."""
