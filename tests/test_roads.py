"""The README's roads, line by line as they are printed, on generated clips; the commands of `emofuse init` too."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ensembles.cli.command import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LABELS = {"angry": 0.5, "calm": 0.05}


def road(title: str) -> list[str]:
    """The lines of the README's block after `**title**`."""
    block = README.split(f"**{title}")[1].split("\n\n    ")[1]
    lines = [line.strip() for line in block.split("\n\n")[0].splitlines()]
    assert all(line.startswith("emofuse ") for line in lines) and len(lines) > 4
    return lines


def walk(lines, monkeypatch, recipe=None):
    from search.recipe import shipped

    if recipe is not None:
        folder = Path("recipes_of_the_test").resolve()
        folder.mkdir()
        text = shipped.shipped_path(recipe).read_text(encoding="utf-8")
        # Configurations that train in a moment; a search of the test is in one process.
        text = re.sub(r"configurations: \d+", "configurations: 1", text)
        networks = [line for line in text.splitlines() if "configurations: 1" in line and "svm" not in line]
        for line in networks:
            text = text.replace(
                line,
                re.sub(r"max_epochs: \d+, ", "", line).replace("configurations: 1", "configurations: 1, max_epochs: 2"),
            )
        (folder / f"{recipe}.yaml").write_text(text.replace("grace_epochs: 10", "grace_epochs: 1"), encoding="utf-8")
        monkeypatch.setattr(shipped, "FOLDER", folder)
    for line in lines:
        words = shlex.split(line)[1:]
        alone = ["--in-process"] if words[:2] in (["search", "run"], ["ensemble", "refit"]) else []
        assert main([*words, *alone]) == 0, line


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Noise of two loudnesses by six speakers, in `my_clips`, and `new_clips`."""
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    for label, level in LABELS.items():
        for speaker in range(8):
            path = Path("my_clips", label, f"{speaker:02d}_1.wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, rng.normal(0, level / 3, 6000).clip(-1, 1), 16000)
    shutil.copytree("my_clips/angry", "new_clips")


@pytest.mark.slow
def test_sound_alone(clips, monkeypatch, capsys):
    walk(road("Labelled clips, sound alone"), monkeypatch, "audio")
    assert Path("report.html").exists() and Path("evaluation.html").exists()
    rows = Path("predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 9 and rows[0].startswith("clip_id,path,start_s,end_s,label,probability,p_angry,p_calm,")
    assert "Next: emofuse ensemble fit runs/sound" in capsys.readouterr().out


def test_predictions_of_other_tools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, rows = np.random.default_rng(0), ["sample_id,split,label,model,group_id,p_angry,p_calm"]
    for model in ("mine", "yours"):
        for n in range(40):
            sure = rng.uniform(0.3, 0.9) if n % 2 else rng.uniform(0.1, 0.7)
            split = "val" if n < 30 else "test"
            rows.append(f"c{n},{split},{'angry' if n % 2 else 'calm'},{model},g{n % 8},{sure:.4f},{1 - sure:.4f}")
    Path("predictions.csv").write_text("\n".join(rows), encoding="utf-8")
    walk(road("Predictions of other tools"), monkeypatch)
    assert len(Path("fused.csv").read_text(encoding="utf-8").splitlines()) == 11
    assert main(["init", "p", "--predictions", "predictions.csv"]) == 0
    monkeypatch.chdir(tmp_path / "p")
    lines = Path("commands.sh").read_text(encoding="utf-8").splitlines()
    walk([line for line in lines if line.startswith("emofuse")][:-1], monkeypatch)
    assert Path("fused.csv").exists()


@pytest.mark.slow
def test_faces_and_sound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = ["--train-actors", "3", "--val-actors", "2", "--test-actors", "1", "--clips-per-actor", "14"]
    assert main(["clips", "synthetic", "made", "-o", "made.parquet", *corpus]) == 0
    few = ["--train-actors", "2", "--val-actors", "1", "--stills-per-actor", "14"]
    assert main(["clips", "synthetic_stills", "made_faces", "-o", "made_faces.parquet", *few]) == 0
    for source, target in (("made", "my_clips"), ("made_faces", "my_faces")):
        for path in Path(source).rglob("*_*_*.*"):
            person, label, number = path.stem.split("_")
            # Clips and stills of one name would be refused as the same.
            place = Path(target, label, f"{person.removeprefix('a')}_{number}{path.suffix}")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    shutil.copytree("my_clips/happy", "new_clips")
    walk(road("Faces and sound, with a backbone"), monkeypatch, "start")
    assert main(["init", "mine", "--clips", "my_clips", "--stills", "my_faces", "--groups", r"(?P<group>\d+)_"]) == 0
    assert "-s faces" in Path("mine/commands.sh").read_text(encoding="utf-8")


def test_init_writes_what_is_run(clips, monkeypatch, capsys):
    assert main(["init", "mine", "--clips", "my_clips", "--groups", r"(?P<group>\d+)_"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "cd mine" and told[1] == "emofuse clips check clips.parquet"
    lines = Path("mine/commands.sh").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("emofuse")] == told[1:]
    monkeypatch.chdir("mine")
    from search.recipe.reading import read_recipe

    assert [entry for _, entry in read_recipe(Path("recipe.yaml")).all_entries()]
    walk(told[1:2], monkeypatch)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mine"], "Nobody is there to be asked where the clips are: give --clips."),
        (["my_clips", "--clips", "my_clips"], "my_clips exists and holds something: name a new folder."),
        (["mine", "--clips", "gone"], "gone: no such folder or file."),
        (["mine", "--predictions", "gone.csv"], "--predictions gone.csv: no such file."),
        (["mine", "--predictions", "a.csv", "--clips", "b"], "--predictions stands in the place of --clips"),
    ],
)
def test_init_refuses(clips, capsys, monkeypatch, words, told):
    monkeypatch.setattr("sys.stdin", Path("/dev/null").open(encoding="utf-8"))  # noqa: SIM115
    assert main(["init", *words]) == 2
    assert told in capsys.readouterr().err and not Path("mine").exists()


def test_init_asks(clips, monkeypatch, capsys):
    answers = iter(["my_clips", r"(?P<group>\d+)_", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda question, **how: next(answers))
    assert main(["init", "mine"]) == 0
    assert "16 clips, 2 classes: angry, calm" in capsys.readouterr().err
