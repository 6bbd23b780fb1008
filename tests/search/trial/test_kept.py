from search.trial.kept import Kept


def test_what_was_read_is_kept_until_its_file_changes(tmp_path):
    kept, path, reads = Kept[str](2, lambda _: [path]), tmp_path / "file", []

    def read():
        reads.append(path.read_text())
        return reads[-1]

    path.write_text("old")
    assert [kept.get("a", read), kept.get("a", read)] == ["old", "old"] and len(reads) == 1
    path.write_text("newer")
    assert kept.get("a", read) == "newer"
    path.unlink()
    assert kept.get("a", lambda: "gone") == "gone"


def test_the_least_recently_used_is_dropped():
    kept = Kept[int](2, lambda _: [])
    for key in (1, 2, 1, 3):
        kept.get(key, lambda key=key: key)
    assert [kept.get(key, lambda: 0) for key in (1, 3, 2)] == [1, 3, 0]
