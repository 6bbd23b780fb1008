import pytest

from features.clips import Clip, ClipTable, check_clips, read_clips, write_clips
from features.errors import EmofuseError, WrongUse
from features.merging import merge_tables, read_labels


def table(root, dataset, labels, split="train"):
    clips = [Clip(f"{i}", f"{i}.wav", split, label, "s1", dataset=dataset) for i, label in enumerate(labels)]
    return ClipTable(tuple(clips), root / dataset)


@pytest.fixture
def corpora(tmp_path):
    return [
        table(tmp_path, "one", ["happy", "calm", "sad"]),
        table(tmp_path, "two", ["Happy", "joy", "bored", None], "test"),
    ]


def test_ids_and_groups_are_kept_apart_and_labels_joined(corpora, tmp_path, capsys):
    merged = merge_tables(corpora, {"one": {"calm": "neutral"}, "all": {"joy": "happy"}, "two": {"bored": None}})
    assert [(c.clip_id, c.label, c.group_id, c.split) for c in merged.clips] == [
        ("one/0", "happy", "one/s1", "train"),
        ("one/1", "neutral", "one/s1", "train"),
        ("one/2", "sad", "one/s1", "train"),
        ("two/0", "happy", "two/s1", "test"),
        ("two/1", "happy", "two/s1", "test"),
        ("two/3", None, "two/s1", "test"),
    ]
    check_clips(merged, media=False)
    write_clips(merged, tmp_path / "both.parquet")
    back = read_clips(tmp_path / "both.parquet")
    assert back.media(back.by_id("two/1")).path == tmp_path / "two/1.wav"
    said = capsys.readouterr().err
    assert "two: left out by the file of labels: 1 bored" in said
    assert "classes that not every corpus has: neutral (one); sad (one)" in said


def test_words_that_are_not_there_are_told(corpora):
    with pytest.raises(WrongUse, match=r"Unknown corpus in the file of labels 'onne'.*Did you mean 'one'"):
        merge_tables(corpora, {"onne": {}})
    with pytest.raises(WrongUse, match=r"Unknown label of one in the file of labels 'clam'.*Did you mean 'calm'"):
        merge_tables(corpora, {"one": {"clam": "neutral"}})
    with pytest.raises(WrongUse, match=r"under `all`, 'jov'.*Did you mean 'joy'"):
        merge_tables(corpora, {"all": {"jov": "happy"}})


def test_corpora_need_names_of_their_own(corpora):
    with pytest.raises(WrongUse, match="the corpus 'one' can't be told from the others"):
        merge_tables([corpora[0], corpora[0]], {})
    merged = merge_tables([corpora[0], corpora[0]], {}, ["a", "b"])
    assert {clip.dataset for clip in merged.clips} == {"a", "b"} and len({c.clip_id for c in merged.clips}) == 6
    with pytest.raises(WrongUse, match="a --name for each of the 2 tables, or none, but got 1"):
        merge_tables(corpora, {}, ["a"])
    with pytest.raises(WrongUse, match="two clip tables or more"):
        merge_tables(corpora[:1], {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "expected a mapping of labels for each corpus"),
        ("one: happy", "expected a mapping of labels for each corpus"),
        ("one: {no: neutral}", "one: labels are words .* but got False"),
        ("one: {a: ''}", "one: labels are words .* but got ''"),
        ("one: {~: a}", "one: labels are words .* but got an empty one"),
        ("one: {", "can't be read as YAML"),
    ],
)
def test_files_of_labels_that_are_none(tmp_path, text, told):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(EmofuseError, match=told):
        read_labels(path)


def test_a_file_of_labels(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("all: {joy: happy}\nemodb: {boredom: }\n")
    assert read_labels(path) == {"all": {"joy": "happy"}, "emodb": {"boredom": None}}
