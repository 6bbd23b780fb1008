import pytest
from small_world import message, recipe_file

from features.errors import WrongUse
from search.recipe.reading import read_recipe
from search.recipe.recipe import recipe_of_data
from search.recipe.yaml_files import read_yaml

pytestmark = pytest.mark.usefixtures("world")


def told(tmp_path, text: str | bytes) -> str:
    path = tmp_path / "r.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return message(read_recipe, path, error=WrongUse).removeprefix(str(path))


LAUGHS = "a0: &a0 [ha, ha, ha]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(30))
IN_YAML = ", line 1: expected a recipe in YAML, but "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "[" * 5000, IN_YAML + "it is nested deeper than 50 levels."),
        ("a: " + "{a: " * 5000, IN_YAML + "it is nested deeper than 50 levels."),
        ("a: &a [*a]", IN_YAML + "an alias stands inside of what it names."),
        ("a: !!timestamp 2020-13-45", IN_YAML + "'2020-13-45' is no !!timestamp (month must be in 1..12)."),
        ("a: !!bool maybe", IN_YAML + "'maybe' is no !!bool ('maybe')."),
        ("<<: 3", IN_YAML + "`<<` takes mappings (`<<: *name`)."),
        ("--- a\n--- b", ", line 2: expected a recipe in YAML, but found another document."),
        (b"name: \xe4", ": expected a recipe in UTF-8, but it can't be read ('utf-8' codec can't decode byte 0xe4 in "
                        "position 6: unexpected end of data); save it as UTF-8."),
        ("#" * 1_000_001, ": expected a recipe of at most 1000 kB, but the file is larger."),
        ("disk_budget_gb: .inf", ": disk_budget_gb: expected a finite number of at most 64 bits, but got inf."),
        ("x: [{y: .nan}]", ": x[0].y: expected a finite number of at most 64 bits, but got nan."),
        (f"seed: {10**30}", ": seed: expected a finite number of at most 64 bits, but got " + str(10**30) + "."),
        ("name: !!timestamp 2020-12-01", ": name: expected a valid string, but got datetime.date(2020, 12, 1)."),
    ],
)  # fmt: skip
def test_strange_text_is_told(tmp_path, text, message):
    assert told(tmp_path, text) == message


def test_aliases_that_would_fill_the_memory_are_refused(tmp_path):
    assert "its aliases make more than 100000 values" in told(tmp_path, LAUGHS)


def test_mappings_are_merged(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "d: &d {x: 1, y: 2}\ne: &e {<<: *d, y: 3}\nf: {<<: [*e, {z: 4}], x: 5}\ng: *d\ndates: [2020-13-45, 2020-01-01]"
    )
    assert read_yaml(path, "a recipe") == {
        "d": {"x": 1, "y": 2},
        "e": {"x": 1, "y": 3},
        "f": {"x": 5, "y": 3, "z": 4},
        "g": {"x": 1, "y": 2},
        "dates": ["2020-13-45", "2020-01-01"],
    }


def test_entries_share_what_a_key_of_one_s_own_holds(tmp_path):
    entry = "{<<: *usual, space: {scale: {low: 2}}}"
    usual = "x-usual: &usual {configurations: 3, max_epochs: 2}"
    text = f"{usual}\nstages: [{{stage: clips, entries: {{centroid: {entry}}}}}]"
    path = recipe_file(tmp_path)
    path.write_text(f"name: 2024-05-01\n{text}", encoding="utf-8")
    recipe = read_recipe(path)
    centroid = recipe.entry("centroid")[1]
    assert (recipe.name, centroid.configurations, centroid.max_epochs) == ("2024-05-01", 3, 2)
    assert recipe_of_data(recipe.as_data(), "again") == recipe
