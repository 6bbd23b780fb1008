"""What a page consists of: a few kinds of blocks as plain data. One template draws them all.

So that captions, scopes, texts for pictures and the like are right in every section, sections make blocks and no HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Text:
    """A paragraph; a `warn` is set apart and read out as such."""

    text: str
    tone: Literal["plain", "note", "warn", "good"] = "note"
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Heading:
    """A title inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Tile:
    """One figure with its name and where it comes from."""

    label: str
    value: str
    note: str
    main: bool = False


@dataclass(frozen=True)
class Tiles:
    """Figures side by side."""

    tiles: Sequence[Tile]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: `title` is shown on hover and read out, `anchor` the section that it opens.

    `sort` is what the column is sorted by, where it isn't the text.
    """

    text: str
    title: str = ""
    anchor: str = ""
    sort: float | str | None = None


@dataclass(frozen=True)
class Column:
    """A column; `choices`: the rows can be filtered by its values; `wide` cells may break, `long` ones are cut short
    on the screen."""

    name: str
    number: bool = False
    choices: bool = False
    wide: bool = False
    long: bool = False


@dataclass(frozen=True)
class Row:
    """A row, whose first cell is its heading."""

    cells: Sequence[Cell]
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted, and filtered where `filters` is set; `key` is unique on the page."""

    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    filters: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class HeatCell:
    """A text on a shade: `share` is its strength from 0 to 100."""

    text: str
    share: int


@dataclass(frozen=True)
class Heat:
    """A matrix whose cells are shaded; `rows` are names with their cells, `corner` says what rows and columns are."""

    caption: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    key: str = ""
    kind: ClassVar[str] = "heat"


@dataclass(frozen=True)
class Chart:
    """A picture: a Vega-Lite `spec`, and what it shows in one sentence for who can't see it."""

    key: str
    spec: Spec
    alt: str
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Drawing:
    """A small picture of polylines: `lines` are (name, points) with `points` as SVG has them."""

    alt: str
    lines: Sequence[tuple[str, str]]
    marks: Sequence[tuple[float, str]] = ()
    ticks: Sequence[tuple[float, float, str, str]] = ()
    width: int = 420
    height: int = 150
    kind: ClassVar[str] = "drawing"


@dataclass(frozen=True)
class Image:
    """A picture inside the page, as a data URI, and perhaps a sound (another one)."""

    uri: str
    alt: str
    label: str = ""
    sound: str = ""
    kind: ClassVar[str] = "image"


@dataclass(frozen=True)
class Code:
    """Text as it was written."""

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Listing:
    """A list of sentences."""

    items: Sequence[str]
    kind: ClassVar[str] = "listing"


@dataclass(frozen=True)
class Details:
    """Blocks that open on demand, and in print; `anchor` is what links lead to."""

    summary: str
    blocks: Sequence["Block"]
    anchor: str = ""
    open: bool = False
    kind: ClassVar[str] = "details"


@dataclass(frozen=True)
class Beside:
    """Blocks side by side where there is room."""

    columns: Sequence[Sequence["Block"]]
    small: bool = False
    kind: ClassVar[str] = "beside"


@dataclass(frozen=True)
class Chooser:
    """Two of several blocks side by side, each chosen by its name; without JavaScript the first two are shown."""

    key: str
    label: str
    options: Sequence[tuple[str, "Block"]]
    kind: ClassVar[str] = "chooser"


Block = Text | Heading | Tiles | Table | Heat | Chart | Drawing | Image | Code | Listing | Details | Beside | Chooser


@dataclass(frozen=True)
class Section:
    """A part of the page: `says` is one sentence on what it shows."""

    key: str
    title: str
    says: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    group: str = ""
