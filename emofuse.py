"""The command `emofuse`: one small module that composes the command-line apps of the four packages."""
