"""JSON by the quick parser is that of the other."""

import json

import pytest

from features.quick_json import parsed

TEXTS = [
    '{"a": [1, 2.5, -1e-7, 123456789012345678901234567890], "b": {"ü": null, "c": [true, false]}}',
    '{"a": 1, "a": 2}',
    '"\\ud800"',
    "[NaN, 0.1, 1e400, -0.0]",
    "[" * 400 + "]" * 400,
    " 3 \n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_json_takes_is_the_same(text):
    assert repr(parsed(text)) == repr(json.loads(text))
    if "\\u" not in text:
        assert repr(parsed(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "{", '{"a": 1,}', "[1] 2", "nul", b"\xff"])
def test_what_json_refuses_is_refused_by_it(text):
    with pytest.raises(ValueError) as refused:
        parsed(text)
    with pytest.raises(ValueError) as expected:
        json.loads(text)
    assert str(refused.value) == str(expected.value)
