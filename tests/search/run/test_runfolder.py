import pytest
from small_world import CENTROID, corpus, message, recipe_file

from features.errors import WrongUse
from features.files import read_json, write_json
from search.recipe.reading import read_recipe
from search.recipe.recipe import DEFAULT_ASHA, Asha
from search.run.folder import EARLIER_TPE_FROM, TPE_FROM, Outcome, RunFolder
from search.run.layout import Layout
from search.study.plan import entry_spec
from search.trial.trial import run_trial


def stages(configurations=2, **entry):
    return [{"stage": "clips", "entries": {"centroid": {"configurations": configurations, **entry}}}]


def again(run, clips=None, **changes):
    """Prepare `run` again with another recipe."""
    recipe = read_recipe(recipe_file(run.path.parent, **changes))
    run.journal.touch()  # its search has begun
    return RunFolder.prepare(run.path, recipe, clips or run.clips, run.store)


def test_a_run_is_opened_as_it_was_prepared(small_run):
    run = small_run()
    assert RunFolder.open(run.path) == run
    assert len(run.table()) == 20


def test_a_run_is_extended(small_run):
    run = small_run()
    longer = again(run, stages=stages(configurations=9, max_epochs=5, space={"n": [2]}), partitions=["train", "swap"])
    assert RunFolder.open(run.path) == longer
    assert longer.recipe.entry("centroid")[1].configurations == 9


def test_a_run_of_an_earlier_release_goes_on_as_it_is(small_run):
    """Its recipe says `trials`, in run.json and in the file; no study is another one by that."""
    run = small_run(stages=stages(configurations=3))
    data = read_json(run.path / "run.json", "run")
    entry = data["recipe"]["stages"][0]["entries"]["centroid"]
    entry["trials"] = entry.pop("configurations")
    write_json(run.path / "run.json", {k: v for k, v in data.items() if k != "content_sha256"})
    assert RunFolder.open(run.path) == run
    on = again(run, stages=[{"stage": "clips", "entries": {"centroid": {"trials": 3}}}])
    assert on == run and on.plan() == run.plan()
    assert read_json(run.path / "run.json", "run") == data | {"recipe": on.recipe.as_data()}


def test_another_seed_or_entry_is_refused(small_run):
    run = small_run()
    assert message(again, run, seed=4, error=WrongUse) == (
        f"{run.path}: this run's seed is 3, but the recipe's is 4; keep it, or start a run in another folder."
    )
    assert message(again, run, stages=stages(inputs={"x": "vec:size=5"}), error=WrongUse) == (
        f"{run.path}: entry 'centroid' was family 'centroid' on x=vec, but the recipe now says family 'centroid' on "
        "x=vec:size=5; name the new one anew."
    )
    assert RunFolder.open(run.path) == run


def test_a_search_that_was_refused_before_it_began_locks_nothing_out(small_run, tmp_path):
    run = small_run()
    other = corpus(tmp_path, "others")
    changed = read_recipe(recipe_file(tmp_path, seed=4, stages=stages(inputs={"x": "vec:size=5"})))
    assert RunFolder.prepare(run.path, changed, other, run.store).recipe.seed == 4


def test_other_clips_are_refused(small_run):
    run = small_run()
    other = corpus(run.path.parent, "others")
    text = message(again, run, clips=other)
    assert text.startswith(f"{run.path}: this run belongs to clips with the fingerprint {run.clips_fingerprint[:12]}, ")
    assert text.endswith("use the table that the run was started with, or start a run in another folder.")
    other.rename(run.clips)
    assert message(run.table) == text


def test_a_run_keeps_the_defaults_that_it_began_with(small_run):
    run = small_run()
    assert (run.tpe_from, run.asha_by_default, run.recipe.asha) == (TPE_FROM, True, DEFAULT_ASHA)
    data = read_json(run.path / "run.json", "")
    del data["tpe_from"]
    earlier = Asha(grace_epochs=10, reduction=3, min_epochs=100)
    data["recipe"]["asha"] = earlier.model_dump()
    write_json(run.path / "run.json", data)
    asha_of_its_own = again(run, asha={"grace_epochs": 2})
    assert (asha_of_its_own.recipe.asha, asha_of_its_own.asha_by_default) == (Asha(grace_epochs=2), False)
    write_json(run.path / "run.json", data)
    for _ in range(2):
        went_on = again(run)
        assert (went_on.recipe.asha, went_on.asha_by_default) == (earlier, True)
        assert went_on.tpe_from == EARLIER_TPE_FROM and RunFolder.open(run.path) == went_on
    copied = RunFolder.prepare(run.path, read_recipe(run.path / "recipe.yaml"), run.clips, run.store)
    assert copied == went_on, "its own copy of the recipe says no more than the recipe did"


def test_a_run_that_has_not_begun_has_the_defaults_of_now(small_run):
    run = small_run()
    data = read_json(run.path / "run.json", "")
    del data["tpe_from"]
    write_json(run.path / "run.json", data)
    recipe = read_recipe(recipe_file(run.path.parent))
    assert RunFolder.prepare(run.path, recipe, run.clips, run.store).tpe_from == TPE_FROM


def test_a_bad_partition_is_refused_before_anything_is_written(tmp_path, world):
    clips = corpus(tmp_path, sizes=(("train", 4),))
    recipe = read_recipe(recipe_file(tmp_path))
    text = message(RunFolder.prepare, tmp_path / "run", recipe, clips, tmp_path / "store")
    assert text.startswith("Partition 'train': its held-out side is empty")
    assert not (tmp_path / "run").exists()


def test_a_backbone_needs_stills(small_run):
    backbone = [{"stage": "backbone", "entries": {"toy_cnn": {"configurations": 1}}}]
    assert message(small_run, stages=backbone, error=WrongUse) == (
        "Recipe 'small' has a backbone stage, so expected a table of stills (--stills)."
    )
    run = small_run(stages=backbone, stills=True)
    assert run.table("backbone").clips[0].clip_id == "stills-train-0"
    assert again(run, stages=backbone) == run  # --stills need not be given again


def test_other_versions_and_folders_are_told(small_run, tmp_path):
    run = small_run()
    write_json(run.path / "run.json", {**read_json(run.path / "run.json", ""), "schema_version": 9})
    assert "run of schema version 9, but this emofuse reads version 1" in message(RunFolder.open, run.path)
    assert message(RunFolder.open, tmp_path / "none").endswith(
        "no such file, expected the description of a run; start one with `emofuse search run`."
    )


def outcome(key, **changes):
    return Outcome(
        key,
        "c",
        **{"status": "failed", "reason": "diverged", "entry": "e", "family": "f", "partition": "train", **changes},
    )


def test_outcomes(small_run):
    run = small_run()
    run.write_outcome(outcome("k1", hyperparameters={"lr": 0.1}), "Traceback ...")
    run.write_outcome(outcome("k2", status="pruned", epochs=4, value=0.5))
    assert [o.trial_key for o in run.outcomes()] == ["k1", "k2"]
    assert run.outcome("k2") == outcome("k2", status="pruned", epochs=4, value=0.5)
    assert (run.path / "trials" / "k1.txt").read_text() == "Traceback ..."
    run.prediction("e", "k1").parent.mkdir(parents=True)
    run.prediction("e", "k1").touch()
    assert run.finished() == {"k1"}
    assert [o.trial_key for o in run.outcomes()] == ["k2"]
    run.clear_outcome("k2")
    assert run.outcome("k2") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "the file: expected a mapping of keys to values, but got [1]"),
        ("{}", "trial_key: this key is required, but it is missing"),
    ],
)
def test_a_broken_outcome_is_told_and_passed_over(small_run, capsys, text, told):
    run = small_run()
    (run.path / "trials").mkdir()
    (run.path / "trials" / "k.json").write_text(text)
    assert list(run.outcomes()) == [] and run.outcome("k") is None
    assert capsys.readouterr().err == (
        f"{run.path}/trials/k.json: {told}; passed over: the same search trains the trial again.\n"
    )


@pytest.mark.parametrize("text", ["", "{"])
def test_a_damaged_run_json_is_told_and_written_anew(small_run, capsys, text):
    run = small_run()
    (run.path / "run.json").write_text(text)
    remedy = "run the same `emofuse search run` again, and it is written anew."
    assert message(RunFolder.open, run.path).endswith(remedy)
    again(run)
    assert "run.json: expected the description of a run" in capsys.readouterr().err
    assert RunFolder.open(run.path) == run


@pytest.mark.parametrize("gone", [False, True])
def test_without_a_run_json_the_trials_tell_what_the_run_belongs_to(small_run, gone):
    run = small_run()
    run_trial(entry_spec(run, *run.recipe.entry("centroid")).at(CENTROID.published[0], "train"))
    path = run.path / "run.json"
    path.unlink() if gone else path.write_bytes(b"")
    other = corpus(run.path.parent, "others")
    text = message(again, run, clips=other)
    assert text.startswith(f"{run.path}: this run belongs to clips with the fingerprint {run.clips_fingerprint[:12]}, ")
    assert "this run's seed is 3, but the recipe's is 4" in message(again, run, seed=4, error=WrongUse)
    assert "entry 'centroid' was family 'centroid' on x=vec, but the recipe now says" in (
        message(again, run, stages=stages(inputs={"x": "vec:size=5"}), error=WrongUse)
    )
    again(run)
    assert RunFolder.open(run.path) == run


def test_a_changed_copy_of_the_recipe_is_told_when_it_is_read(small_run, capsys):
    run = small_run()
    copy = run.path / "recipe.yaml"
    assert read_recipe(copy) == run.recipe and not capsys.readouterr().err
    copy.write_text(copy.read_text().replace("configurations: 2", "configurations: 3"))
    read_recipe(copy)
    assert capsys.readouterr().err == (
        f"{copy}: this copy of the recipe is not as the search wrote it, so it was edited or is damaged; what was "
        "searched stands in run.json.\n"
    )


def test_credentials_are_masked_in_recorded_outcomes(tmp_path):
    layout, told = Layout(tmp_path), "s3://KEY:SECRET@bucket/run"
    layout.write_outcome(Outcome("k", "c", "failed", f"no {told}", "svm", "e", "train"), f"Traceback\n{told}")
    assert layout.outcome("k").reason == "no s3://***@bucket/run"
    assert (tmp_path / "trials" / "k.txt").read_text() == "Traceback\ns3://***@bucket/run"
