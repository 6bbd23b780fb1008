"""Every command that is printed after "Next:" works on that very run, and what a refit says and keeps."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import yaml
from small_world import FAMILIES, corpus, put_in_place

import emofuse
from features.clips import ClipTable, read_clips, write_clips
from features.sets import FeatureArray
from features.store.store import SetWriter
from search.run.layout import Layout
from search.run.predictions import prediction_files, read_footer

LAYERS = {"stage": "clips", "entries": {"pooled": {"configurations": 2}}}
CLIPS = {"stage": "clips", "entries": {"centroid": {"configurations": 2}}}
BACKBONE = {"stage": "backbone", "entries": {"toy_cnn": {"configurations": 2}}}
MINE = {"stage": "clips", "entries": {"centroid": {"configurations": 1, "inputs": {"x": "mine"}}}}


def run(*words):
    return emofuse.main([str(word) for word in words])


@pytest.fixture
def corpora(tmp_path, monkeypatch):
    put_in_place(monkeypatch)
    monkeypatch.chdir(tmp_path)
    corpus(tmp_path), corpus(tmp_path, "stills")
    table = read_clips(tmp_path / "clips.parquet")
    ids = tuple(clip.clip_id for clip in table.clips)
    writer = SetWriter(tmp_path / "store", "mine", "k", ids, "clip", (3,), table.media_fingerprint, imported=True)
    writer.write(
        (clip.clip_id, FeatureArray(np.full((1, 3), n % 2), np.zeros(1))) for n, clip in enumerate(table.clips)
    )
    return tmp_path


def search(folder, *stages, out="run", clips="clips", words=(), **changes):
    recipe = {"name": "small", "seed": 3, "asha": None, "stages": list(stages), **changes}
    (folder / f"{out}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    given = ["--clips", f"{clips}.parquet", "--stills", "stills.parquet", "--features", "store", "-o", out]
    return run("search", "run", f"{out}.yaml", *given, "--in-process", *words)


def next_of(capsys):
    """The words of the command after the last "Next:"."""
    told = capsys.readouterr()
    found = re.findall(r"Next: emofuse (.*)", " ".join((told.out + told.err).split("\r")))
    return shlex.split(found[-1]) if found else None


def unlabelled(folder):
    """The clips without the labels of test, as organisers give them."""
    table = read_clips(folder / "clips.parquet")
    clips = tuple(replace(clip, label=None) if clip.split == "test" else clip for clip in table.clips)
    write_clips(ClipTable(clips, folder), folder / "blind.parquet")


@pytest.mark.parametrize("partitions", [["train"], ["train", "swap"], [{"folds": 2}]], ids=str)
def test_from_a_search_to_a_bundle(corpora, capsys, partitions):
    assert search(corpora, BACKBONE, LAYERS, partitions=partitions) == 0
    words = next_of(capsys)
    assert words == ["ensemble", "fit", "run"]
    assert run(*words, "--name", "best", "--all") == 0
    assert next_of(capsys) == ["ensemble", "refit", "run", "best"]
    assert run("search", "status", "run") == 0
    words = next_of(capsys)
    assert words == ["ensemble", "refit", str(corpora / "run"), "best"]
    assert run(*words, "--in-process") == 0
    words = next_of(capsys)
    assert [word for word in words if word != "--anyway"] == ["ensemble", "export", words[2], "best", "-o", "bundle"]
    assert run("search", "status", "run") == 0
    assert next_of(capsys) == ["ensemble", "export", str(corpora / "run"), "best", "--anyway", "-o", "bundle"]


def test_from_a_table_to_the_first_search(corpora, capsys):
    wave = np.zeros(8000)
    for label in "ab":
        for speaker in range(6):
            path = corpora / "mine" / label / f"{speaker}_1.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, wave + 0.1 * np.sin((speaker + 1.0) * np.arange(8000)), 8000)
    assert run("clips", "folder", "mine", "-o", "my clips.parquet", "--groups", r"(?P<group>\d+)_") == 0
    words = next_of(capsys)
    assert words == ["clips", "check", "my clips.parquet"] and run(*words) == 0
    words = next_of(capsys)
    assert words == shlex.split("features extract 'my clips.parquet' -s functionals -s short_term -o store")


def test_what_other_tools_predicted_is_fitted_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"c{n},val,{'ab'[n % 2]},m,{n % 2},{1 - n % 2},g{n}" for n in range(8)]
    (tmp_path / "p.csv").write_text("\n".join(["sample_id,split,label,model,p_b,p_a,group_id", *rows]))
    assert run("ensemble", "import", "p.csv", "-o", "others") == 0
    words = next_of(capsys)
    assert words == ["ensemble", "fit", "others"] and run(*words, "--name", "best") == 0
    assert next_of(capsys) == ["ensemble", "predictions", "others", "best", "-o", "fused.csv"]


def test_a_backbone_alone_is_where_another_search_starts(corpora, capsys, monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy_cnn", replace(FAMILIES["toy_cnn"], weights=True))
    assert search(corpora, BACKBONE, out="fer run") == 0
    told = capsys.readouterr().out
    assert "Next:" not in told
    command = (
        "No models of clips to fuse. Another recipe's ENTRY starts from the backbone by: emofuse search run "
        "RECIPE --weights 'ENTRY=fer run:toy_cnn'"
    )
    assert command in told
    best = max(
        map(read_footer, prediction_files(corpora / "fer run")),
        key=lambda f: (f.metrics["accuracy"], -f.metrics["log_loss"]),
    )
    folder = Layout(corpora / "fer run").model_folder(best.trial_key)
    (folder / "model.safetensors").write_bytes(b"parameters")
    from features.disk.sealed import seal_folder

    seal_folder(folder)
    assert search(corpora, BACKBONE, LAYERS, out="next", words=["--weights", "toy_cnn=fer run:toy_cnn"]) == 0
    told = capsys.readouterr().err
    assert f"the best trial of toy_cnn is {best.trial_key[:8]}" in told
    (trained,) = [f for f in map(read_footer, prediction_files(corpora / "next")) if f.entry == "toy_cnn"]
    assert trained.hyperparameters == best.hyperparameters, "they come along, and leave nothing to search"
    assert trained.weights_sha256


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("toy_cnn=fer_run", "--weights: fer_run is a run; name its backbone, such as fer_run:toy_cnn."),
        ("toy_cnn=fer_run:toy_cn", "Unknown entry 'toy_cn'"),
        ("toy_cnn=fer_run:centroid", "no trial of backbone 'centroid' has finished"),
    ],
)
def test_weights_of_a_run_are_told_apart(corpora, capsys, given, told):
    search(corpora, BACKBONE, CLIPS, out="fer_run")
    assert search(corpora, BACKBONE, LAYERS, out="next", words=["--weights", given]) in (1, 2)
    assert told in capsys.readouterr().err


def test_a_search_that_finished_no_configuration_on_all_partitions(corpora, capsys):
    assert search(corpora, CLIPS, partitions=["train", "swap"]) == 0
    files = prediction_files(corpora / "run")
    by_partition = {read_footer(path).partition: path for path in files}
    configs = {read_footer(path).config_key for path in files}
    assert len(configs) == 2
    kept = by_partition["train"]
    for path in files:
        footer = read_footer(path)
        if (footer.partition == "train") != (footer.config_key == read_footer(kept).config_key):
            path.unlink()
    capsys.readouterr()
    from search.watch.status import read_status

    words = shlex.split(read_status(Layout(corpora / "run")).following("run").removeprefix("Next: emofuse "))
    assert words == ["ensemble", "fit", "run", "--partition", "swap"]
    assert run(*words) == 0


def test_what_reads_an_imported_set_is_refitted_and_exported_like_others(corpora, capsys):
    assert search(corpora, MINE) == 0
    assert run("ensemble", "fit", "run", "--method", "best", "--name", "best") == 0
    capsys.readouterr()
    assert run("ensemble", "refit", "run", "best", "--in-process") == 0
    words = shlex.split(re.findall(r"Next: emofuse (.*)", capsys.readouterr().err)[0])
    assert words == ["ensemble", "export", "run", "best", "-o", "bundle"]
    assert run("ensemble", "predictions", "run", "best", "--split", "test", "-o", "test.csv") == 0
    assert len((corpora / "test.csv").read_text().splitlines()) == 1 + 4


def test_refits_of_two_partitions_live_side_by_side(corpora, capsys):
    assert search(corpora, CLIPS, partitions=["train", "swap"], asha=None) == 0
    for partition in ("train", "swap"):
        words = ["--partition", partition, "--method", "uniform", "--name", partition]
        assert run("ensemble", "fit", "run", *words, "--all") == 0
    changed_epochs(corpora / "run", "swap")
    for name in ("train", "swap", "train"):
        assert run("ensemble", "refit", "run", name, "--in-process", "--test") == 0
    keys = {}
    for name in ("train", "swap"):
        data = json.loads((corpora / "run" / "ensembles" / name / "ensemble.json").read_text())
        keys[name] = [(m["entry"], m["refit"]) for m in data["members"]]
        assert data["scores"]["ensemble"]["test_refit"]["n_clips"] == 2
    assert keys["train"] != keys["swap"]
    capsys.readouterr()
    config = data["members"][0]["config_key"][:12]
    assert run("ensemble", "predictions", "run", f"centroid/{config}", "-o", "m.csv") == 2
    assert (
        f"centroid/{config} was refitted 2 times, for ensembles of several partitions: choose"
        in capsys.readouterr().err
    )
    assert run("ensemble", "predictions", "run", f"centroid/{keys['swap'][0][1][:12]}", "-o", "m.csv") == 0


def changed_epochs(folder, partition):
    """Let the trials of a partition have stopped at their second epoch."""
    from search.run.predictions import read_predictions, write_predictions

    for path in prediction_files(folder):
        rows = read_predictions(path)
        if rows.footer.partition == partition:
            write_predictions(folder, replace(rows, footer=replace(rows.footer, best_epoch=2)))


def test_labels_that_come_later_score_a_refit(corpora, capsys):
    unlabelled(corpora)
    assert search(corpora, CLIPS, clips="blind") == 0
    assert run("ensemble", "fit", "run", "--name", "best", "--all") == 0
    labels = [f"{c.clip_id},{c.label}" for c in read_clips(corpora / "clips.parquet").split("test") if c.label]
    (corpora / "labels.csv").write_text("\n".join(["clip_id,label", *labels]) + "\n")
    words = ["refit", "run", "best", "--in-process", "--test", "--labels", "labels.csv"]
    assert run("ensemble", *words) == 0
    data = json.loads((corpora / "run" / "ensembles" / "best" / "ensemble.json").read_text())
    assert data["scores"]["ensemble"]["test_refit"]["n_clips"] == len(labels) == 2


def test_a_refit_is_kept_where_test_has_no_labels(corpora, capsys):
    unlabelled(corpora)
    assert search(corpora, CLIPS, clips="blind") == 0
    assert run("ensemble", "fit", "run", "--name", "best", "--all") == 0
    from ensembles.bundle.refit import refit_and_store, score_refits
    from ensembles.records.stored import open_ensemble
    from features.errors import EmofuseError
    from search.cluster.workers import Workers

    folder = corpora / "run"
    with pytest.raises(EmofuseError, match="No test clip has a label"):
        refit_and_store(folder, open_ensemble(folder, "best"), Workers(in_process=True), test=True)
    if not open_ensemble(folder, "best").refits:  # it was refused before anything was trained
        refit_and_store(folder, open_ensemble(folder, "best"), Workers(in_process=True))
    kept = open_ensemble(folder, "best")
    assert len(kept.refits) == len(kept.members)
    with pytest.raises(EmofuseError, match="No test clip has a label"):
        score_refits(folder, kept)


def test_a_look_at_test_clips_without_labels_is_refused_before_any_work(corpora, capsys, monkeypatch):
    unlabelled(corpora)
    assert search(corpora, CLIPS, clips="blind") == 0
    assert run("ensemble", "fit", "run", "--name", "best", "--all") == 0

    def work(*args, **options):
        raise AssertionError("it began to work")

    # compare first: imported after fit is replaced, it would keep the replacement.
    for place in (
        "comparison.compare.fit_on",
        "fitting.fit.fit_on",
        "bundle.refit.refit",
        "comparison.leaderboard.summaries",
    ):
        monkeypatch.setattr(f"ensembles.{place}", work)
    capsys.readouterr()
    for words in (
        ["ensemble", "fit", "run", "--name", "other", "--test"],
        ["ensemble", "refit", "run", "best", "--in-process", "--test"],
        ["ensemble", "compare", "run", "--method", "greedy", "--method", "uniform", "--test"],
        ["ensemble", "compare", "run", "best", "best", "--test"],
        ["ensemble", "leaderboard", "run", "--test"],
        ["report", "run", "-o", "page.html", "--test"],
    ):
        assert run(*words) == 1
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert told.startswith("emofuse: No test clip has a label, so nothing can be scored on the test split"), words
        assert "give the labels that came later by --labels" in told
    assert not (corpora / "page.html").exists()
    assert [path.name for path in (corpora / "run" / "ensembles").iterdir()] == ["best"]
