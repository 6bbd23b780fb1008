"""Sections as HTML: one template for all kinds of blocks, pictures drawn as SVG, and the page's scripts."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from ensembles.report.blocks import Beside, Block, Chart, Chooser, Details, Section

# Nothing is fetched from anywhere; the browser itself refuses it.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_EMPTY = re.compile(r"<g[^>]*></g>|\n\s*")
_ID, _REFERENCE = re.compile(r'\bid="([^"]+)"'), re.compile(r"url\(#([^)]+)\)")
_BACKTICKS = re.compile(r"`([^`]+)`")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def whole_page(title: str, subtitle: str, sections: Sequence[Section], *, static: bool = False) -> str:
    """One self-contained file; without scripts (`static`) it says the same."""
    return _template("page.html.j2").render(
        css=_safe(_text("style.css")),
        policy=_POLICY,
        title=title,
        subtitle=subtitle,
        sections=[(section, _safe(section_html(section))) for section in sections],
        specs=_safe(specs_json(sections)),
        scripts=[] if static else [_safe(vega()), _safe(_text("page.js"))],
        live=None,
        version=version("emofuse"),
    )


def live_page(
    title: str,
    subtitle: str,
    sections: Sequence[tuple[str, str, str, str]],
    drawn: str,
    links: Sequence[tuple[str, str]],
) -> str:
    """The page that a server keeps up to date: `sections` are (key, title, html, mark), `drawn` their specs as JSON."""
    shown = [({"key": key, "title": name, "mark": mark}, _safe(html)) for key, name, html, mark in sections]
    return _template("page.html.j2").render(
        css=_safe(_text("style.css")),
        policy="",
        title=title,
        subtitle=subtitle,
        sections=shown,
        specs=_safe(drawn),
        scripts=[],
        live={"links": links},
        version=version("emofuse"),
    )


def page_script() -> str:
    """The scripts of the live page in one."""
    return f"{_text('page.js')}\n{_text('live.js')}"


def section_html(section: Section, *, pictures: bool = True) -> str:
    """The inside of a section; without `pictures` the browser draws them."""
    return _template("blocks.html.j2").render(section=section, draw=_drawn if pictures else lambda chart: "")


def specs_json(sections: Iterable[Section]) -> str:
    """The specs of all pictures by their keys, as JSON that can stand in a script element."""
    return in_script(specs(sections))


def in_script(data: Any) -> str:
    """JSON that can stand inside a script element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def specs(sections: Iterable[Section]) -> dict[str, Any]:
    """The specs of all pictures by their keys."""
    return {chart.key: chart.spec for section in sections for chart in _charts(section.blocks)}


def _charts(blocks: Iterable[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Details):
            yield from _charts(block.blocks)
        elif isinstance(block, Beside):
            for column in block.columns:
                yield from _charts(column)
        elif isinstance(block, Chooser):
            yield from _charts(own for _, own in block.options)


def _drawn(chart: Chart) -> Any:
    """The picture as SVG, with fewer digits than anybody sees."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(json.dumps(chart.spec), vl_version="6.4")
    svg = _NUMBER.sub(lambda found: f"{float(found[0]):.1f}", svg)
    # The text of the picture stands beside it: readers of screens needn't go through its hundreds of marks.
    svg = re.sub(r'\s(role|aria-[a-z]+)="[^"]*"', "", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    # vl-convert counts on from picture to picture, so a page would depend on those that were made before it.
    ids = {found: f"{chart.key}-{n}" for n, found in enumerate(dict.fromkeys(_ID.findall(svg)))}
    svg = _ID.sub(lambda found: f'id="{_plain(ids[found[1]])}"', svg)
    svg = _REFERENCE.sub(lambda found: f"url(#{_plain(ids.get(found[1], found[1]))})", svg)
    while (shorter := _EMPTY.sub("", svg)) != svg:
        svg = shorter
    return _safe(svg)


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]", "-", name)


@cache
def vega() -> str:
    """Vega, Vega-Lite and vega-embed in one script, as vl-convert brings them along."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version="6.4")
    return bundle.replace("</script", "<\\/script")


@cache
def _environment() -> Any:
    import jinja2

    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_text),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = _with_code
    return made


def _with_code(text: str) -> Any:
    """Escaped, and what stands between backticks as code."""
    import markupsafe

    return _safe(_BACKTICKS.sub(r"<code>\1</code>", str(markupsafe.escape(text))))


def _template(name: str) -> Any:
    return _environment().get_template(name)


def _text(name: str) -> str:
    return (files("ensembles.report") / name).read_text(encoding="utf-8")


def _safe(text: str) -> Any:
    import markupsafe

    return markupsafe.Markup(text)  # ours, or escaped by the template that made it
