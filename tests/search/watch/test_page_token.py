"""A page that asks for its token."""

from search.watch.page_token import guarded, with_token

TOKEN = "t0ken"


def _ask(path="/", query="", cookie="", host="127.0.0.1:8000"):
    """(status, headers, body) of a page that says `hello`."""
    told = []

    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]

    environ = {"PATH_INFO": path, "QUERY_STRING": query, "HTTP_COOKIE": cookie, "HTTP_HOST": host}
    body = guarded(app, TOKEN)(environ, lambda status, headers: told.extend((status, dict(headers))))
    return told[0], told[1], b"".join(body)


def test_without_the_token_nothing_is_shown():
    for query, cookie in (("", ""), ("token=other", ""), ("token=", "emofuse=t0ken"), ("", "a=b; =; ;x\x00")):
        status, _, body = _ask(query=query, cookie=cookie)
        assert status == "403 Forbidden" and b"asks for the token" in body


def test_the_token_becomes_a_cookie_and_leaves_the_address():
    status, headers, body = _ask("/a", f"x=1&token={TOKEN}")
    assert (status, headers["Location"], body) == ("303 See Other", "/a?x=1", b"")
    cookie, *rest = headers["Set-Cookie"].split("; ")
    assert set(rest) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert _ask("/a", cookie=f"other=1; {cookie}")[2] == b"hello"
    assert _ask("/a", cookie=cookie.replace(TOKEN, "t0kem"))[0] == "403 Forbidden"


def test_the_way_on_never_leads_to_another_host():
    assert _ask("//evil.org/", f"token={TOKEN}")[1]["Location"] == "/evil.org/"


def test_by_a_name_of_another_site_nothing_is_shown():
    for host in ("evil.org", "127.0.0.1.evil.org:8000", "", "[::1"):
        status, _, body = _ask(query=f"token={TOKEN}", host=host)
        assert status == "403 Forbidden" and b"open it as 127.0.0.1 or localhost" in body
    assert all(_ask(query=f"token={TOKEN}", host=host)[0] == "303 See Other" for host in ("localhost:1", "[::1]:8000"))


def test_an_address_carries_the_token():
    assert with_token("http://127.0.0.1:1/", "a+b") == "http://127.0.0.1:1/?token=a%2Bb"
