"""optuna-dashboard on a run's journal, for looking only: the driver alone writes the journal."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from features.errors import EmofuseError
from search.watch.page_token import guarded, with_token

_REFUSED = b"This page only shows a run: its journal belongs to the search.\n"
# Buttons that would create, rename, delete or edit, by the names and icons that optuna-dashboard gives them.
_LABELS = ("delete study", "rename study", "skip trial", "delete artifact")
_ICONS = ("AddBoxIcon", "EditIcon", "DeleteIcon")
_NO_BUTTONS = (
    "<style>"
    + ", ".join(
        [*(f'[aria-label="{label}"]' for label in _LABELS), *(f'button:has([data-testid="{i}"])' for i in _ICONS)]
    )
    + " { display: none !important; }</style>"
).encode()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not told."""


def serve_journal(journal: Path, host: str, port: int, token: str) -> str:
    """Serve the journal's studies in a thread to who shows `token`; returns the address. OSError: the port is taken."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import wsgi

    if not journal.exists():
        raise EmofuseError(f"{journal}: no journal yet, so there is nothing to show; start the search first.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    app = wsgi(JournalStorage(JournalFileBackend(str(journal))))
    server = make_server(host, port, guarded(_looking_only(app), token), server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="optuna-dashboard", daemon=True).start()
    return with_token(f"http://{host}:{server.server_port}/dashboard/", token)


def _looking_only(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The app without what changes a study: such requests are refused, and such buttons aren't shown."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Content-Type", "text/plain")])
            return [_REFUSED]
        told: list[Any] = []
        body = app(environ, lambda *start: told.extend(start))
        status, headers = told[0], told[1]
        if not any(name.lower() == "content-type" and "text/html" in value for name, value in headers):
            start_response(status, headers)
            return body
        page = b"".join(body).replace(b"</head>", _NO_BUTTONS + b"</head>", 1)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(page)))])
        return [page]

    return answer
