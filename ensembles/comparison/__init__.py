"""Members and ensembles side by side: leaderboard, comparisons, matrices, and their tables."""
