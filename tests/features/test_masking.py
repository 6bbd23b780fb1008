"""Credentials in URIs stay out of everything that is told."""

import pickle

import pytest

from features.errors import ClipFailure, EmofuseError, WrongUse
from features.masking import has_credentials, masked
from features.progress import say

URI = "s3://KEY:SEC/RET@bucket/run?region=x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (URI, "s3://***@bucket/run?region=x"),
        ("s3://KEY:SE%2FCRET@bucket/a, gs://TOKEN@bucket.", "s3://***@bucket/a, gs://***@bucket."),
        ("s3://***@bucket", "s3://***@bucket"),
        ("s3://bucket/who@where http://127.0.0.1:8080/", "s3://bucket/who@where http://127.0.0.1:8080/"),
        ("mail me@there.org", "mail me@there.org"),
    ],
)
def test_what_stands_before_the_bucket_is_masked(text, told):
    assert masked(text) == told and masked(told) == told
    assert has_credentials(text) == (text != told) and not has_credentials(told)


@pytest.mark.parametrize("error", [EmofuseError(f"{URI}: gone"), WrongUse(f"{URI}: gone"), ClipFailure("missing", URI)])
def test_errors_and_lines_of_progress_are_masked(error, capsys):
    again = pickle.loads(pickle.dumps(error))
    say(f"reading {URI}")
    told = f"{error} {again} {getattr(error, 'reason', '')} {capsys.readouterr().err}"
    assert "RET" not in told and told.count("s3://***@bucket/run") >= 3
