"""What a search may spend, what it has spent, and what is therefore started or stopped."""
