"""A picture's Vega-Lite spec as SVG; run as a program, it draws what another process asks for.

Each line of the standard input is then a JSON list of a picture's key and its spec, answered by a line with the SVG as
a JSON string. It imports nothing else of emofuse, so that it is ready when the first picture is.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

VEGA_LITE = "6.4"
_EMPTY = re.compile(r"<g[^>]*></g>|\n\s*")
_ID, _REFERENCE = re.compile(r'\bid="([^"]+)"'), re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def svg_of(key: str, spec: Mapping[str, Any]) -> str:
    """The picture as SVG, with fewer digits than anybody sees; `key` is unique on the page."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(spec), vl_version=VEGA_LITE)
    svg = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", svg)
    # The text of the picture stands beside it: readers of screens needn't go through its hundreds of marks.
    svg = re.sub(r'\s(role|aria-[a-z]+)="[^"]*"', "", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    # vl-convert counts on from picture to picture, so a page would depend on those that were made before it.
    ids = {found: f"{key}-{n}" for n, found in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = _ID.sub(lambda found: f'id="{_plain(ids[found[1]])}"', svg)
    svg = _REFERENCE.sub(lambda found: f"url(#{_plain(ids.get(found[1], found[1]))})", svg)
    while (shorter := _EMPTY.sub("", svg)) != svg:
        svg = shorter
    return svg


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]", "-", name)


def _serve() -> None:
    svg_of("", {"data": {"values": [{}]}, "mark": "point"})  # the first picture takes longest
    for line in sys.stdin:
        print(json.dumps(svg_of(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
