"""Credentials in what is told: a key in a URI opens a bucket to whoever reads a log."""

import re

# user:secret@ first, since a secret may hold a slash that was not encoded; then a token alone.
_CREDENTIALS = re.compile(r"(?<=://)(?:[^\s@/:]*:[^\s@]*|[^\s@/]+)@")


def masked(text: str) -> str:
    """`text` with `***` in the place of all that stands before the `@` of a URI: `s3://***@bucket/run`."""
    return _CREDENTIALS.sub("***@", text)


def has_credentials(text: str) -> bool:
    """Whether there is something to mask."""
    return _CREDENTIALS.search(text.replace("://***@", "://")) is not None
