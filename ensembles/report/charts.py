"""Specs of pictures for Vega-Lite: one look, and colours that the style sheet knows and can turn dark.

The same spec is drawn as SVG when the page is written, and by Vega in the browser.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# Names of colours in the style sheet, which sets others in the dark: see `[fill=...]` there.
INK, SOFT, LINE, CARD = "#1c2230", "#5d6678", "#dde1e9", "#fffffe"
# Okabe and Ito's, told apart by colour-blind readers; the yellow is left out, which white swallows.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5d6678")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
RAMP = ("#56b4e9", "#0072b2", "#7b3294", "#d55e00")
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"

Values = Sequence[Mapping[str, Any]]


def rows_high(rows: int, each: int) -> int:
    """The height of a picture with a line for each of its rows."""
    return max(60, rows * each)


def chart(values: Values, *, height: int = 260, name: str = "values", **spec: Any) -> dict[str, Any]:
    """A whole spec: `values` are its rows, `spec` the marks and encodings."""
    return {
        "$schema": _SCHEMA,
        "width": 680,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"name": name, "values": list(values)},
        "config": CONFIG,
        **spec,
    }


CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "DejaVu Sans, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": LINE,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "orient": "top",
        "direction": "horizontal",
        "columns": 4,
        "labelLimit": 200,
    },
    "header": {"labelColor": INK, "titleColor": INK, "labelFontSize": 12},
    "title": {"color": INK, "subtitleColor": SOFT, "fontSize": 13},
    "text": {"color": INK},
    "rule": {"color": SOFT},
    "range": {"category": list(PALETTE), "ramp": list(RAMP), "heatmap": list(RAMP), "symbol": list(SHAPES)},
}

# Drag to move, wheel to zoom, double click for all.
ZOOM = [{"name": "zoom", "select": "interval", "bind": "scales"}]


def pick(field: str) -> list[dict[str, Any]]:
    """A click in the legend shows one kind alone."""
    return [{"name": "picked", "select": {"type": "point", "fields": [field]}, "bind": "legend"}]


FADED = {"condition": {"param": "picked", "value": 0.9}, "value": 0.12}


def x(field: str, title: str, kind: str = "quantitative", **more: Any) -> dict[str, Any]:
    """An axis (or any other channel) with a title."""
    return {"field": field, "type": kind, "title": title, **more}


def tip(*fields: tuple[str, str]) -> list[dict[str, Any]]:
    """What a mark says on hover: (field, title)."""
    return [{"field": field, "title": title} for field, title in fields]


def coloured(field: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    """A colour for each kind."""
    return {"field": field, "type": "nominal", "title": title, **more}
