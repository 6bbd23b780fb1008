"""YAML files that people write: broken text, double keys and wrong values are told in one sentence."""

import re
from pathlib import Path
from typing import Any

import yaml

from features.errors import WrongUse


class _Loader(yaml.SafeLoader):
    """YAML with 1e-4 as a number (YAML 1.1 reads it as text), and where no second key silently replaces the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int) and key in seen:
                problem = f"the key {key!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key if isinstance(key, str | int) else None)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path, what: str) -> Any:
    """The data of a YAML file; `what` it should be is named when it is missing or can't be read."""
    try:
        return yaml.load(path.read_text(), _Loader)
    except FileNotFoundError:
        raise WrongUse(f"{path}: no such file, expected {what}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path}: expected {what}, but it can't be read ({error}).") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise WrongUse(f"{path}{line}: expected {what} in YAML, but {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise WrongUse(f"{path}: expected {what} in YAML, but {' '.join(str(error).split())}.") from None
