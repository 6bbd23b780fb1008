"""What is wrong with a clip table and its media, before hours go into it."""
