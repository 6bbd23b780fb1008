"""Vega for the browser, kept on this machine: putting it together takes longer than the report of a small run."""

from functools import cache
from importlib.metadata import version

from ensembles.report.svg import VEGA_LITE
from features.disk.kept import kept_text

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@cache
def vega() -> str:
    """Vega, Vega-Lite and vega-embed in one script, as vl-convert brings them along."""
    of = f"vl-convert {version('vl-convert-python')}, Vega-Lite {VEGA_LITE}: {_SNIPPET}"
    return kept_text("vega.js", of, _bundle).replace("</script", "<\\/script")


def _bundle() -> str:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(_SNIPPET, vl_version=VEGA_LITE)
    return bundle
