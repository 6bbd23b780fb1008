from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from features.errors import EmofuseError, WrongUse
from features.schema import check_version, parse, read_as, shown


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def told(data, **options) -> str:
    with pytest.raises(EmofuseError) as caught:
        parse(Point, data, "p.json", **options)
    return str(caught.value)


def test_plain_data_become_the_model():
    assert parse(Point, {"x": 1, "names": ["a"], "unknown": 3}, "p.json") == Point(1.0, ("a",))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "p.json: the file: expected a mapping of keys to values, but got []."),
        ({}, "p.json: x: this key is required, but it is missing."),
        ({"x": "much"}, "p.json: x: expected a valid number, unable to parse string as a number, but got 'much'."),
        ({"x": 1, "names": ["a", 2]}, "p.json: names[1]: expected a valid string, but got 2."),
    ],
)
def test_what_is_wrong_is_one_sentence(data, message):
    assert told(data) == message


def test_the_remedy_ends_the_sentence_and_the_error_is_chosen():
    assert told({}, remedy="make it again", error=WrongUse).endswith("but it is missing; make it again.")
    with pytest.raises(WrongUse):
        parse(Point, {}, "p.json", error=WrongUse)


def test_a_huge_value_is_shown_short():
    laughs: list = ["ha"] * 10
    for _ in range(40):
        laughs = [laughs] * 10
    circle: list = []
    circle.append(circle)
    for value in (laughs, circle, "x" * 10**6, 10**4000, {"a": b"y" * 10**6}):
        assert len(shown(value)) <= 80
        assert len(told({"x": value})) < 200


def test_a_file_is_read_as_the_model(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"x": 2}')
    assert read_as(Point, path, "a point") == Point(2.0)
    path.write_text("[" * 100_000)
    with pytest.raises(EmofuseError, match=r"p\.json: expected a point as JSON, but it can't be parsed"):
        read_as(Point, path, "a point")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"schema_version": 2}, "p.json: point of schema version 2, but this emofuse reads version 1; make it again."),
        ({}, "p.json: point of schema version None, but this emofuse reads version 1; make it again."),
        ("1", "p.json: expected a mapping of keys to values (point), but got '1'."),
    ],
)
def test_another_version_is_refused(data, message):
    with pytest.raises(EmofuseError) as caught:
        check_version(data, 1, "p.json", "point", "make it again")
    assert str(caught.value) == message


def test_a_sentence_stays_one_that_can_be_read():
    error = EmofuseError(f"p.csv: the column {'x' * 10**6} is not known; leave it out.")
    assert len(str(error)) <= 2000
    assert str(error).startswith("p.csv: the column xx")
    assert str(error).endswith("is not known; leave it out.")
