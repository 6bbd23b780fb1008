"""Bytes on a disk that can be trusted: sealed, bounded in size, checked once per machine."""
