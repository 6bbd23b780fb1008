"""`model.json`: what a saved model says of itself, checked before anything is built from it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Annotated, Any, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from features.errors import EmofuseError
from features.files import read_json
from features.schema import Word, parse, shown
from features.tables.readable import Readable
from models.family import Context
from models.registry import get_family
from models.space import Scalar, check_stored

FILE = "model.json"

Built = TypeVar("Built")
_Size = Annotated[int, Field(gt=0, lt=2**31)]


@dataclass(frozen=True)
class Description:
    """The fields of `model.json`. `columns` names the numbers of an input, `temperature` is an SVM's."""

    family: Word
    hyperparameters: dict[Word, Scalar]
    classes: tuple[Word, ...]
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    shapes: dict[Word, tuple[_Size, ...]]
    dimensions: tuple[Word, ...] = ()
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    columns: dict[Word, tuple[Word, ...]] = Field(default_factory=dict)

    def build(self, build: Callable[[Mapping[str, Any], Context], Built], device: str, folder: Readable) -> Built:
        """What a family's `build` makes of it. EmofuseError where it can't be built, in one sentence."""
        context = Context(
            self.classes, self.shapes, self.seed, device, columns=self.columns, dimensions=self.dimensions
        )
        with blaming(folder / FILE, f"a {self.family} model that can be built"):
            return build(self.hyperparameters, context)

    def check_size(self, numbers: int, folder: Readable) -> None:
        """Refuse inputs that are wider than all the `numbers` which the model's files can hold."""
        for slot, shape in self.shapes.items():
            if prod(shape) > numbers:
                raise EmofuseError(
                    f"{folder / FILE}: expected an input {slot!r} that fits the model's files, but its shape is "
                    f"{shape}, and they hold {numbers} numbers at most."
                )


@contextmanager
def blaming(file: Readable, what: str) -> Iterator[None]:
    """Whatever is raised inside becomes an EmofuseError that begins with `file`, which was expected to be `what`.

    For work with sizes and words that a file told, which fails in as many ways as there are lines in a family.
    """
    try:
        yield
    except EmofuseError as error:
        raise error if str(error).startswith(str(file)) else EmofuseError(f"{file}: {error}") from None
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise EmofuseError(f"{file}: expected {what}, but got {text}.") from None


def read_description(folder: Readable) -> Description:
    """The description in `folder`, of a family that there is, with hyperparameters that a recipe could give it."""
    file = folder / FILE
    data = read_json(file, "a saved model's description")
    found = parse(Description, data, str(file))
    family = get_family(found.family)
    check_stored(family.space, found.hyperparameters, f"{file}: hyperparameter")
    task = "regression" if found.dimensions else "classification"
    if task not in family.tasks or bool(found.dimensions) == bool(found.classes):
        raise EmofuseError(
            f"{file}: expected classes or dimensions for a {family.name} model ({' or '.join(family.tasks)}), but got "
            f"the classes {shown(found.classes)} and the dimensions {shown(found.dimensions)}."
        )
    expected = sorted(slot.slot for slot in family.slots(found.shapes))
    if not expected or sorted(found.shapes) != expected:
        raise EmofuseError(
            f"{file}: expected shapes of the inputs {', '.join(expected) or 'that it has'} of a {family.name} model, "
            f"but got those of {shown(list(found.shapes))}."
        )
    for slot in family.slots(found.shapes):
        if len(found.shapes[slot.slot]) != slot.rank:
            raise EmofuseError(
                f"{file}: expected a shape of {slot.rank} axes for the input {slot.slot!r}, but got "
                f"{shown(found.shapes[slot.slot])}."
            )
    return found
