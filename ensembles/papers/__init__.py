"""The five papers: their numbers as data, what a run reached beside them, and the commands that lead there."""
