"""What a person sees of a search, from its files alone."""
