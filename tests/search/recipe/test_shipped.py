import pytest
from small_world import message
from typer.testing import CliRunner

from features.errors import WrongUse
from search.cli.recipes import recipes_app
from search.recipe.shipped import FOLDER, recipe_file, shipped


def recipes(*words):
    done = CliRunner().invoke(recipes_app, words)
    if isinstance(done.exception, WrongUse):
        raise done.exception
    return done.output


def test_every_recipe_is_listed_with_its_purpose():
    assert set(shipped()) == {path.stem for path in FOLDER.glob("*.yaml")}
    assert all(20 < len(purpose) < 230 and not purpose.endswith(".") for purpose in shipped().values())
    assert shipped()["kahou2015"].endswith("the published system on AFEW")
    assert "A first search on clips of your own" in recipes()


@pytest.mark.parametrize("name", ["start", "start.yaml", "recipes/start.yaml"])
def test_one_is_printed_as_it_is(name):
    assert recipes("show", name) == (FOLDER / "start.yaml").read_text(encoding="utf-8")


def test_an_unknown_name_is_told():
    assert "Unknown recipe 'strat'" in message(recipes, "show", "strat", error=WrongUse)


def test_a_name_stands_for_a_shipped_recipe_where_there_is_no_such_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for given in ("start", "start.yaml", "recipes/start.yaml"):
        assert recipe_file(given) == FOLDER / "start.yaml"
        assert f"{given}: no such file here, so the recipe start that comes with emofuse" in capsys.readouterr().err
    (tmp_path / "start.yaml").write_text("own")
    for given in ("start.yaml", "mine.yaml", "other/start.yaml"):
        assert str(recipe_file(given)) == given
    assert capsys.readouterr().err == ""
