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
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Content-Type", "text/plain")])
            return [_REFUSED]
        return app(environ, start_response)

    return answer
