"""Every public name says what it does, with an example that runs."""

import ast
import doctest
import inspect
from pathlib import Path

import pytest

import emofuse

ROOT = Path(emofuse.__file__).parent


def _documented():
    """(name, object) of what a user may call: functions, classes, and their public methods and properties."""
    for name in emofuse.__all__:
        thing = getattr(emofuse, name)
        yield name, thing
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for attribute, member in vars(thing).items():
                if not attribute.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                    yield f"{name}.{attribute}", member


DOCUMENTED = dict(_documented())


@pytest.mark.parametrize("name", [n for n, thing in DOCUMENTED.items() if not isinstance(thing, property)])
def test_says_what_it_takes_returns_and_raises(name):
    text, thing = inspect.getdoc(DOCUMENTED[name]) or "", DOCUMENTED[name]
    assert text.splitlines()[0].endswith((".", "!"))
    if inspect.isclass(thing):
        return
    taken = [parameter for parameter in inspect.signature(thing).parameters if parameter != "self"]
    for parameter in taken:
        assert parameter in text, f"{name} does not tell of {parameter}"
    assert not taken or "Parameters\n-------" in text
    assert "Examples\n--------\n>>> import emofuse as ef" in text
    assert "Returns\n-------" in text or "..." not in text


@pytest.mark.parametrize("name", [n for n, thing in DOCUMENTED.items() if ">>>" in (inspect.getdoc(thing) or "")])
def test_example_runs(name, world, monkeypatch):
    monkeypatch.chdir(world.folder)
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(DOCUMENTED[name]), {}, name, None, 0)
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize("name", [n for n, thing in DOCUMENTED.items() if isinstance(thing, property)])
def test_property_is_documented(name):
    assert inspect.getdoc(DOCUMENTED[name])


def test_names_are_the_same_for_type_checkers_and_at_run_time():
    tree = ast.parse((ROOT / "emofuse.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == emofuse._MODULES
    assert sorted(typed) == emofuse.__all__
    stubs = ast.parse((ROOT / "emofuse-stubs" / "__init__.pyi").read_text())
    told = {node.names[0].asname: node.module for node in stubs.body if isinstance(node, ast.ImportFrom)}
    assert told == typed
    assert set(emofuse.__all__) <= set(dir(emofuse))
    with pytest.raises(AttributeError, match="has no attribute 'serch'"):
        emofuse.serch  # noqa: B018
