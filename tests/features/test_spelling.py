import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import EmofuseError
from features.spelling import key, matched, one_spelling, refuse_alike, tell_words, trimmed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s1", "S1"),
        ("s1", "\ts1\u00a0"),
        ("s1", "\ufeffs1\u200b"),
        ("s1", "s 1"),
        ("very happy", "Very  Happy"),
        ("Zo\u00eb", "zoe\u0308"),
        ("Stra\u00dfe", "STRASSE"),
        ("\uff33\uff11", "s1"),
        ("\u5f00\u5fc3", " \u5f00\u5fc3\u3000"),
    ],
)
def test_one_name_has_one_key(one, other):
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("s1", "s2"), ("1 11", "11 1"), ("1 11", "111"), ("s_1", "s1"), ("e", "\u00e9")]
)
def test_two_names_have_two_keys(one, other):
    assert key(one) != key(other)


@given(st.text())
def test_keys_are_keys_of_themselves_and_of_trimmed_texts(text):
    assert key(trimmed(text)) == key(text) and trimmed(trimmed(text)) == trimmed(text)


def test_the_most_frequent_spelling_is_taken_and_told(capsys):
    texts = ["happy", "Happy", None, "happy", "sad", "SAD"]
    assert one_spelling(texts, "label", "t.csv") == {"happy": "happy", "Happy": "happy", "sad": "SAD", "SAD": "SAD"}
    told = (
        "t.csv: each label has one spelling, whatever its case, blanks and Unicode form: 'Happy' is 'happy'; 'sad' is"
    )
    assert f"{told} 'SAD' (2 rows changed)" in capsys.readouterr().err
    assert one_spelling(["happy"], "label", "t.csv", ["Happy"]) == {"happy": "Happy"}
    capsys.readouterr()
    assert one_spelling(["happy", "sad"], "label", "t.csv") == {"happy": "happy", "sad": "sad"}
    assert capsys.readouterr().err == ""


def test_ids_are_matched_or_refused(capsys):
    assert matched(["a", "B"], ["a", "B"], "clip_id", "x.csv") == {"a": "a", "B": "B"}
    assert capsys.readouterr().err == ""
    assert matched(["A ", "c"], ["a", "b"], "clip_id", "x.csv") == {"A ": "a"}
    assert "x.csv: the clip_id 'A ' is taken for 'a': they differ in spelling alone" in capsys.readouterr().err
    assert matched(["a", "A"], ["a", "A"], "clip_id", "x.csv") == {"a": "a", "A": "A"}
    assert matched(["A "], ["a", "A"], "clip_id", "x.csv") == {"A ": "A"}
    assert matched(["\u00c1"], ["\u00e1", "A"], "clip_id", "x.csv") == {"\u00c1": "\u00e1"}
    with pytest.raises(EmofuseError, match=r"x\.csv: 'A' and 'a' are both the clip_id 'a'; spell it in one way"):
        matched(["a", "A"], ["a"], "clip_id", "x.csv")
    with pytest.raises(
        EmofuseError, match=r"x\.csv: 'A' and 'a' are one clip but for case, blanks or Unicode form; no"
    ):
        refuse_alike(["a", "A", "b"], "clip", "x.csv", "no")


def test_words_for_nothing_are_told(capsys):
    tell_words(["nan", "happy", None, "N/A", "nan"], "label", "t.csv")
    assert "t.csv: 'N/A' and 'nan' are taken for a label (3 rows); where nothing is" in capsys.readouterr().err
    tell_words(["happy", None], "label", "t.csv")
    assert capsys.readouterr().err == ""
