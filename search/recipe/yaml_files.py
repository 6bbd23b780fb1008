"""YAML files that people write: broken text, double keys and wrong values are told in one sentence."""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from features.errors import WrongUse
from features.schema import shown

_MOST_BYTES = 1_000_000
_DEEPEST = 50  # lists and mappings inside one another
_MOST_VALUES = 100_000  # after aliases (`*name`) are put in their places
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML with 1e-4 as a number (YAML 1.1 reads it as text), and where no second key silently replaces the first.

    Dates stay text. What would grow beyond memory by aliases is refused before it is made.
    """

    def __init__(self, text: str):
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[Node, int] = {}

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        mark = self.peek_event().start_mark
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConstructorError(None, None, f"it is nested deeper than {_DEEPEST} levels", mark)
        alias = self.check_event(AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            if alias and node not in self._sizes:
                raise ConstructorError(None, None, "an alias stands inside of what it names", mark)
            self._sizes[node] = self._size(node)
        return node

    def _size(self, node: Node) -> int:
        if isinstance(node, ScalarNode):
            return 1
        inside = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        size = 1 + sum(self._sizes[part] for part in inside)
        if size > _MOST_VALUES:
            raise ConstructorError(None, None, f"its aliases make more than {_MOST_VALUES} values", node.start_mark)
        return size

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        # Here, not when the mapping is made: merging (`<<: *name`) gives a node double keys of its own.
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, ScalarNode) and key_node.tag != _MERGE:
                key = self.construct_object(key_node)
                if key in seen:
                    raise ConstructorError(None, None, f"the key {shown(key)} is there twice", key_node.start_mark)
                seen.add(key)
        return node

    def flatten_mapping(self, node: MappingNode) -> None:
        """Put merged keys in their place: a mapping's own win, then those of the first that is merged.

        PyYAML's own version tells keys apart by the identity of their text, so short ones of merged merges get lost.
        """
        pairs, merged = [], []
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                pairs.append((key_node, value_node))
                continue
            for source in value_node.value if isinstance(value_node, SequenceNode) else [value_node]:
                if not isinstance(source, MappingNode):
                    raise ConstructorError(None, None, "`<<` takes mappings (`<<: *name`)", value_node.start_mark)
                self.flatten_mapping(source)
                merged += source.value
        if merged:
            known = {_identity(key_node) for key_node, _ in pairs}
            for key_node, value_node in merged:
                if _identity(key_node) not in known:
                    known.add(_identity(key_node))
                    pairs.append((key_node, value_node))
        node.value = pairs

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            # What PyYAML doesn't expect of a wrong `!!int` or `!!timestamp`.
            kind = f"!!{node.tag.rpartition(':')[2]}"
            raise ConstructorError(None, None, f"{shown(node.value)} is no {kind} ({error})", node.start_mark) from None


def _identity(key: Node) -> Any:
    return (key.tag, key.value) if isinstance(key, ScalarNode) else id(key)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
# A run that is called 2024-05-01 is called so.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path, what: str) -> Any:
    """The data of a YAML file; `what` it should be is named when it is missing or can't be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise WrongUse(f"{path}: expected {what} of at most {_MOST_BYTES // 1000} kB, but the file is larger.")
        return yaml.load(data.decode("utf-8-sig"), _Loader)
    except FileNotFoundError:
        raise WrongUse(f"{path}: no such file, expected {what}.") from None
    except UnicodeDecodeError as error:
        raise WrongUse(f"{path}: expected {what} in UTF-8, but it can't be read ({error}); save it as UTF-8.") from None
    except OSError as error:
        raise WrongUse(f"{path}: expected {what}, but it can't be read ({error.strerror or error}).") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = str(error.problem or error.context).removeprefix("but ")
        raise WrongUse(f"{path}{line}: expected {what} in YAML, but {problem}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongUse(f"{path}: expected {what} in YAML, but {' '.join(str(error).split())}.") from None
