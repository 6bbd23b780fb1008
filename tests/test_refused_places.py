"""Every command with a place that the system refuses: one sentence that names it, never a traceback."""

import os
from pathlib import Path

import numpy as np
import pytest

import emofuse

NOBODY = 65534
RECIPE = "name: r\nstages: [{stage: clips, entries: {svm: {configurations: 1, inputs: {x: mine}, published: false}}}]\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with one of everything that commands read."""
    folder = tmp_path_factory.mktemp("world")
    rows = "".join(f"c{n},{('train', 'val', 'test')[n % 3]},{'ab'[n % 2]},g{n}\n" for n in range(12))
    (folder / "clips.csv").write_text("clip_id,split,label,group_id\n" + rows, encoding="utf-8")
    scores = "".join(f"s{n},val,{'ab'[n % 2]},m{m},0.{m + 3},0.{7 - m}\n" for n in range(8) for m in range(2))
    (folder / "p.csv").write_text("sample_id,split,label,model,p_a,p_b\n" + scores, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    np.savez(folder / "x.npz", **{f"c{n}": np.ones(3) * n for n in range(12)})
    (folder / "new.wav").write_bytes(b"")
    run = ["-o", str(folder / "run")]
    assert emofuse.main(["clips", "table", f"{folder}/clips.csv", "--no-media", "-o", f"{folder}/clips.parquet"]) == 0
    assert emofuse.main(["ensemble", "import", f"{folder}/p.csv", *run]) == 0
    assert emofuse.main(["ensemble", "fit", f"{folder}/run", "--method", "uniform"]) == 0
    return folder


COMMANDS = [
    "clips table {w}/clips.csv --no-media -o {bad}",
    "clips table {bad} --no-media -o {new}/c.parquet",
    "clips ravdess {bad} -o {new}/c.parquet",
    "clips images {bad} -o {new}/c.parquet",
    "clips sewa {bad} -o {new}/c.parquet",
    "clips fer2013 {bad} -o {new}/c.parquet --store {new}/s",
    "features extract {bad} -s functionals -o {new}/s",
    "features extract {w}/clips.parquet -s functionals --workers 0 -o {bad}",
    "features import {bad} {w}/x.npz --name mine --level clip -o {new}/s",
    "features import {w}/clips.parquet {bad} --name mine --level clip -o {new}/s",
    "features import {w}/clips.parquet {w}/x.npz --name mine --level clip -o {bad}",
    "features ls {bad}",
    "search run {bad} --clips {w}/clips.parquet --features {new}/s -o {new}/r --in-process",
    "search run {w}/recipe.yaml --clips {bad} --features {new}/s -o {new}/r --in-process",
    "search run {w}/recipe.yaml --clips {w}/clips.parquet --features {bad} -o {new}/r --in-process",
    "search run {w}/recipe.yaml --clips {w}/clips.parquet --features {new}/s -o {bad} --in-process",
    "search status {bad}",
    "search retry {bad}",
    "search replay {bad} abcdef12",
    "ensemble fit {bad}",
    "ensemble leaderboard {bad}",
    "ensemble compare {bad}",
    "ensemble import {bad} -o {new}/r",
    "ensemble import {w}/p.csv -o {bad}",
    "ensemble dump {bad} -o {new}/d.csv",
    "ensemble dump {w}/run -o {bad}",
    "ensemble refit {bad} uniform",
    "ensemble export {bad} uniform -o {new}/b",
    "ensemble export {w}/run uniform -o {bad}",
    "ensemble continuous {bad}",
    "ensemble continuous {w}/p.csv --labels {bad}",
    "predict {bad} {w}/new.wav",
    "predict {w} {bad}",
    "report {bad} -o {new}/r.html",
    "report {w}/run -o {bad}",
]
PLACES = ["file", "folder", "below a file", "circle", "long", ".", "s3://", "locked", "in a locked folder"]


@pytest.fixture
def place(tmp_path_factory, request):
    """`place(kind)` is a path that some commands can't use; the process has no right to the locked ones."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file").write_text("neither CSV nor anything", encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "circle").symlink_to("circle")
    (folder / "locked").mkdir(mode=0)

    def make(kind: str) -> str:
        if "locked" in kind and os.geteuid() == 0:
            if not all(parent.stat().st_mode & 0o001 for parent in Path(__file__).resolve().parents):
                pytest.skip("without rights the commands can't be imported from a folder that is closed to others")
            for parent in folder.parents:
                if parent.stat().st_uid == 0 and str(parent).count("/") > 1:
                    parent.chmod(0o755)
            os.seteuid(NOBODY)
            request.addfinalizer(lambda: os.seteuid(0))
        elsewhere = {"long": "x" * 300, "below a file": "file/x", "in a locked folder": "locked/x.csv"}
        return kind if kind in (".", "s3://") else str(folder / elsewhere.get(kind, kind))

    return make


@pytest.mark.parametrize("kind", PLACES)
def test_one_sentence(world, kind, tmp_path, capsys, monkeypatch, place):
    # `place` comes last and is undone first, since it takes rights away that the others need to tidy up.
    monkeypatch.chdir(tmp_path)
    bad = place(kind)
    for command in COMMANDS:
        words = command.format(w=world, bad=bad, new=tmp_path / "new").split()
        code = emofuse.main(words)
        told = capsys.readouterr().err.strip().splitlines()
        if code == 0:
            assert kind in ("folder", ".", "file") or (kind == "circle" and "-o {bad}" in command), command
            continue
        assert code in (1, 2), command
        sentences = [line for line in told if line.startswith("emofuse: ")]
        assert len(sentences) == 1 and sentences[0] == told[-1], (command, told)
        assert "Errno" not in sentences[0] and "Error" not in sentences[0], (command, told)


def test_the_tables_are_still_read_at_the_end(world):
    assert Path(world / "clips.parquet").is_file()
