"""What a search is worth to an ensemble: the fused score of all finished configurations, and what each adds to it."""
