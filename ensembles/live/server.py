"""The live page's server: a page, its scripts, what is new since a browser last asked, and two actions.

It speaks WSGI and is served by Werkzeug, which TensorBoard brings along, behind the token of the other pages.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ensembles.live import actions
from ensembles.live.refresh import Live
from ensembles.report.render import in_script, live_page, page_script
from ensembles.report.vega import vega
from features.errors import EmofuseError
from search.watch.page_token import guarded, with_token

Link = tuple[str, str]
Start = Callable[..., Any]

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ACTIONS: Mapping[str, Callable[[Path], str]] = {"stop": actions.stop, "retry": actions.retry}
_HTML, _SCRIPT, _JSON = "text/html; charset=utf-8", "text/javascript; charset=utf-8", "application/json"


class LivePage:
    """The application; `links` are the pages beside it, by name and address."""

    def __init__(self, live: Live, links: Callable[[], Sequence[Link]] = tuple):
        self._live, self._links = live, links

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer a request."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        if method == "POST" and path.startswith("/do/"):
            return self._do(path.removeprefix("/do/"), environ, start)
        if method not in ("GET", "HEAD"):
            return _answer(start, "405 Method Not Allowed", "text/plain", "This page is read, and has two buttons.\n")
        if path == "/":
            return _answer(start, "200 OK", _HTML, self._page())
        if path == "/update":
            known = dict(parse_qsl(environ.get("QUERY_STRING", "")))
            return _answer(start, "200 OK", _JSON, json.dumps(self._live.state.newer(known)))
        if path == "/vega.js":
            return _answer(start, "200 OK", _SCRIPT, vega(), keep=True)
        if path == "/page.js":
            return _answer(start, "200 OK", _SCRIPT, page_script())
        return _answer(start, "404 Not Found", "text/plain", "There is no such page.\n")

    def _page(self) -> str:
        state = self._live.state
        sections = [(one.key, one.title, one.html, one.mark) for one in state.sections]
        drawn = {key: spec for one in state.sections for key, spec in one.specs.items()}
        return live_page(state.title, state.subtitle, sections, in_script(drawn), list(self._links()))

    def _do(self, name: str, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """An action, for a request that this page itself sent."""
        origin = environ.get("HTTP_ORIGIN", "")
        if not origin or urlsplit(origin).netloc != environ.get("HTTP_HOST", ""):
            return _answer(start, "403 Forbidden", "text/plain", "Buttons are pressed on the page itself.\n")
        if name not in _ACTIONS:
            return _answer(start, "404 Not Found", "text/plain", "There is no such button.\n")
        try:
            told, status = _ACTIONS[name](self._live.run), "200 OK"
        except EmofuseError as error:
            told, status = str(error), "409 Conflict"
        return _answer(start, status, _JSON, json.dumps({"told": told}))


def serve_live(app: LivePage, host: str, port: int, token: str) -> tuple[str, Callable[[], None]]:
    """Serve the page in a thread to who shows `token`; returns its address and what closes it.

    OSError when the port is taken.
    """
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = _made(make_server, host, port, guarded(app, token))
    threading.Thread(target=server.serve_forever, name="live page's server", daemon=True).start()
    return with_token(f"http://{host}:{server.server_port}/", token), server.shutdown


def _made(make: Callable[..., Any], host: str, port: int, app: Any) -> Any:
    """Werkzeug ends the process where a port is taken; whoever serves decides what to do."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    return make(host, port, app, threaded=True)


def _answer(start: Start, status: str, kind: str, text: str, *, keep: bool = False) -> Iterable[bytes]:
    data = text.encode()
    start(
        status,
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(data))),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "private, max-age=3600" if keep else "no-store"),
        ],
    )
    return [data]
