"""Sections as HTML: one template for all kinds of blocks, pictures drawn as SVG, and the page's scripts."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from ensembles.report.artist import Artist
from ensembles.report.blocks import Beside, Block, Chart, Chooser, Details, Section
from ensembles.report.vega import vega

# Nothing is fetched from anywhere; the browser itself refuses it.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_BACKTICKS = re.compile(r"`([^`]+)`")


def whole_page(
    title: str, subtitle: str, sections: Iterable[Section], *, static: bool = False, artist: Artist | None = None
) -> str:
    """One self-contained file; without scripts (`static`) it says the same.

    The `artist` draws its pictures, each from when its section is there; without one they are drawn by a new one.
    """
    if artist is None:
        with Artist() as artist:
            return whole_page(title, subtitle, sections, static=static, artist=artist)
    shown = []
    for section in sections:
        shown.append(section)
        for chart in _charts(section.blocks):
            artist.begin(chart)
    return _template("page.html.j2").render(
        css=_safe(_text("style.css")),
        policy=_POLICY,
        title=title,
        subtitle=subtitle,
        sections=[(section, _safe(section_html(section, artist.svg))) for section in shown],
        specs=_safe(specs_json(shown)),
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


def section_html(section: Section, svg: Callable[[Chart], str] = lambda chart: "") -> str:
    """The inside of a section with its pictures as `svg` draws them; without it the browser does."""
    return _template("blocks.html.j2").render(section=section, draw=lambda chart: _safe(svg(chart)))


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
