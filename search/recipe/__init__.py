"""What is asked: recipes, their checks, and what they name."""
