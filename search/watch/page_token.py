"""A token in a page's address: other users of the machine share its loopback, and see nothing without it."""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Application = Callable[..., Iterable[bytes]]
_REFUSED = b"This page asks for the token that stands in the address which `emofuse search dashboard` printed.\n"
_OTHER_HOST = b"This page is served on loopback: open it as 127.0.0.1 or localhost.\n"
_HOSTS = {"127.0.0.1", "localhost", "::1"}


def guarded(app: Application, token: str) -> Application:
    """`app` (WSGI) for callers that show `token` as ?token=, which becomes a cookie, or as this cookie.

    They must call this machine by a loopback name.
    """
    # Cookies are shared by all ports of a host: pages with other tokens have others.
    cookie = f"emofuse-{hashlib.sha256(token.encode()).hexdigest()[:12]}"

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _host(environ.get("HTTP_HOST", "")) not in _HOSTS:
            # Another site's name that leads here would let that site's pages in.
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [_OTHER_HOST]
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        shown = dict(query).get("token", "")
        if _same(shown, token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            place = (environ.get("PATH_INFO") or "/") + (f"?{rest}" if rest else "")
            start_response(
                "303 See Other",
                [
                    # One slash alone: two would name another host.
                    ("Location", "/" + place.lstrip("/")),
                    ("Set-Cookie", f"{cookie}={token}; Path=/; HttpOnly; SameSite=Strict"),
                    ("Referrer-Policy", "no-referrer"),
                ],
            )
            return []
        if not _same(_cookie(environ.get("HTTP_COOKIE", ""), cookie), token):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [_REFUSED]
        return app(environ, start_response)

    return answer


def with_token(address: str, token: str) -> str:
    """The address that opens a guarded page."""
    return f"{address}?{urlencode({'token': token})}"


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode(), token.encode())
