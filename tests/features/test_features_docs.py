"""The commands of docs/features.md, as they are printed there."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np

import emofuse
from features.faces import register

DOCS = Path(__file__).parents[2] / "docs" / "features.md"
MEAN = np.array([[0.32, 0.40], [0.68, 0.40], [0.5, 0.6], [0.34, 0.77], [0.67, 0.77]])


def made_up(folder):
    """FER2013's file and SFEW's folders with noise for faces."""
    rng = np.random.default_rng(0)
    parts = [("Training", 14), ("PublicTest", 7), ("PrivateTest", 7)]
    rows = [f"{n % 7},{' '.join(map(str, rng.integers(0, 256, 2304)))},{part}" for part, n in parts for n in range(n)]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    for split in ("Train", "Val"):
        for name in ("Angry", "Happy"):
            place = folder / "SFEW" / f"{split}_Aligned_Faces" / name
            place.mkdir(parents=True)
            cv2.imwrite(str(place / f"{split}_{name}_0001.png"), rng.integers(0, 256, (181, 143), np.uint8))


def test_the_commands_run_as_printed(tmp_path, monkeypatch, capsys):
    made_up(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(register, "five_points", lambda crop: MEAN)
    commands = re.findall(r"^    emofuse (.*)$", DOCS.read_text(encoding="utf-8"), re.M)
    assert len(commands) == 4
    for words in map(shlex.split, commands):
        if words[:2] == ["features", "extract"]:
            words += ["--workers", "0"]
        assert emofuse.main(words) == 0, words
    assert capsys.readouterr().out.splitlines()[-1].startswith("faces:detector=none,register=1")
