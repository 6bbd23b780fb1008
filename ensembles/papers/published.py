"""What the papers print, as data (`recipes/papers/*.yaml`): each number, and where this program's own comes from."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from features.errors import WrongUse
from features.names import unknown_name
from features.schema import parse
from models.space import Scalar
from search.recipe.shipped import FOLDER
from search.recipe.yaml_files import read_yaml

RECIPES = FOLDER
NAMES = ("kahou2015", "guo2019", "chao2016", "huang2018", "zheng")
SPLITS = Literal["train", "val", "test"]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ours(_Data):
    """Where our number comes from: a submission (or other ensemble) of the run, or an entry's best configuration.

    Of an `entry` the best on the held-out clips of the `partition` is taken, among those with the hyperparameters of
    `where`.
    """

    entry: str | None = None
    submission: str | None = None
    partition: str = "train"
    where: dict[str, Scalar] = {}

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.entry is None) == (self.submission is None):
            raise ValueError("expected either an entry or a submission")
        return self


class Column(_Data):
    """A column: a metric on a split of the clip table; with `best` the hyperparameter at which it is highest.

    That hyperparameter is multiplied by `scale` to have the paper's unit.
    """

    name: str
    split: SPLITS
    metric: str = "accuracy"
    best: str | None = None
    scale: float = 1.0


class Row(_Data):
    """A row of a table: the paper's numbers by column (None: it prints none), and ours, or why there is `none`.

    `by_column` says it column by column where the paper took each from another configuration.
    """

    name: str
    paper: tuple[float | None, ...] = ()
    ours: Ours | None = None
    by_column: tuple[Ours, ...] = ()
    none: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum((self.ours is not None, bool(self.by_column), bool(self.none))) != 1:
            raise ValueError(f"row {self.name!r}: expected one of `ours`, `by_column` and `none`")
        return self

    def source(self, column: int) -> Ours | None:
        """Where our number of a column comes from."""
        return self.by_column[column] if self.by_column else self.ours


class PaperTable(_Data):
    """A table or figure: rows under columns, or a `confusion` matrix in row percent, of `ours` on the `split`."""

    name: str
    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    classes: tuple[str, ...] = ()
    split: SPLITS = "val"
    ours: Ours | None = None
    confusion: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.rows) == bool(self.confusion):
            raise ValueError(f"{self.name}: expected either rows or a confusion matrix")
        for row in self.rows:
            wrong = len(row.paper) != len(self.columns) or (row.by_column and len(row.by_column) != len(self.columns))
            if wrong:
                raise ValueError(f"{self.name}, row {row.name!r}: expected a number for each of its columns")
        square = all(len(line) == len(self.classes) for line in (self.confusion, *self.confusion))
        if self.confusion and (self.ours is None or not square):
            raise ValueError(f"{self.name}: expected a row and a column for each class, and `ours`")
        return self


class Paper(_Data):
    """A paper's tables; `recipe` is the one of its system, `unit` percent or ccc.

    `notes` are sentences on what nobody can reproduce, whatever the corpus.
    """

    paper: str
    title: str
    corpus: str
    recipe: str
    unit: Literal["percent", "ccc"] = "percent"
    notes: tuple[str, ...] = ()
    tables: tuple[PaperTable, ...]

    def sources(self) -> list[Ours]:
        """All places that our numbers come from."""
        found: list[Ours] = []
        for table in self.tables:
            found += [table.ours] if table.ours else []
            for row in table.rows:
                found += [*row.by_column, *([row.ours] if row.ours else [])]
        return found


def load_paper(name: str) -> Paper:
    """A paper's tables by its short name; what is wrong in the file is told in one sentence."""
    if name not in NAMES:
        raise unknown_name("paper", name, NAMES)
    path = RECIPES / "papers" / f"{name}.yaml"
    return parse(Paper, read_yaml(path, "a paper's tables"), path, error=WrongUse)


def paper_of(recipe: str) -> Paper | None:
    """The paper whose system a recipe of that name is."""
    return load_paper(recipe) if recipe in NAMES else None
