"""What `import emofuse` offers: the functions behind the commands, with tables as pandas DataFrames."""
