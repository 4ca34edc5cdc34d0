"""Requests that no client sends: each gets an answer, and none costs a worker."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cases, http1, http2, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.http1 import Response, encode
from support.recorder import Recorder, new_test_id

HOST = "mcp.example.com"
CLAIMS = {"iss": "https://auth.example.com", "aud": f"https://{HOST}/mcp", "scope": "mcp:read"}
GOOD = tokens.mint(defaults={**CLAIMS, "exp": {"$now": 3600}})
BEARER = ("authorization", f"Bearer {GOOD}")


@pytest.fixture(scope="module")
def envoy(
    wasm: Path, recorder: Recorder, concurrency: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    """One Envoy for all of this file, open to everything that Envoy can be told to let through."""
    listener = Listener(
        wasm=wasm,
        configuration=cases.config("one").filter,
        http1={"accept_http_10": True, "allow_absolute_url": True},
        http2={"allow_connect": True},
        manager={"upgrade_configs": [{"upgrade_type": "CONNECT"}]},
    )
    directory = tmp_path_factory.mktemp("hostile")
    clusters = {"upstream": recorder.port}
    with Envoy(directory, {"mcp": listener}, clusters, concurrency=concurrency) as running:
        yield running
        assert_healthy(running, connections=32)


@pytest.fixture(autouse=True)
def still_healthy(envoy: Envoy) -> Iterator[None]:
    yield
    assert_healthy(envoy)


def assert_healthy(envoy: Envoy, connections: int = 8) -> None:
    """Good requests on so many new connections that every worker gets one."""
    envoy.check()
    for _ in range(connections):
        assert http1.get(envoy.port, "/mcp", GOOD).status == 200
    log = envoy.log()
    assert "panicked" not in log
    assert "proxy_on_" not in log, "a call into the module failed"


def answer(envoy: Envoy, sent: bytes, method: str = "GET") -> Response | None:
    """The answer, or None if Envoy's own parser just closed the connection."""
    try:
        return http1.exchange(envoy.port, sent, method)
    except ConnectionError:
        return None


def assert_refused(response: Response | None) -> None:
    if response is not None:
        assert 400 <= response.status < 500, f"{response.status} {response.body[:200]!r}"
        assert "set-cookie" not in dict(response.headers)


NOT_UTF8 = b"a\xff\xfe\xc3\x28z"

# Header lines beside which no good token stands: each must be refused.
REFUSED_HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "scheme that is not UTF-8": [(b"authorization", NOT_UTF8 + b" " + GOOD.encode())],
    "token that is not UTF-8": [(b"authorization", b"Bearer " + NOT_UTF8)],
    "token parts that are not UTF-8": [(b"authorization", b"Bearer \xff\xfe.\xff.\xff")],
    "good token with one byte more": [(b"authorization", b"Bearer " + GOOD.encode() + b"\xff")],
    "only bytes above ASCII": [(b"authorization", b"\xff" * 64)],
    "origin that is not UTF-8": [(b"origin", NOT_UTF8)],
    "preflight method that is not UTF-8": [(b"origin", b"https://a.example"), (b"access-control-request-method", NOT_UTF8)],
    "60 KiB token": [(b"authorization", b"Bearer " + b"a" * 61440)],
    "60 KiB of dots": [(b"authorization", b"Bearer " + b"." * 61440)],
    "60 KiB of commas": [(b"authorization", b"Bearer " + b"," * 61440)],
    "60 KiB of spaces inside": [(b"authorization", b"Bearer" + b" " * 61440 + b"x")],
    "60 KiB scheme": [(b"authorization", b"B" * 61440)],
    "larger than Envoy takes": [(b"authorization", b"Bearer " + b"a" * 120_000)],
    "many empty authorizations": [(b"authorization", b"")] * 50,
    "NUL in the token": [(b"authorization", b"Bearer a\x00b")],
    "bare CR in the token": [(b"authorization", b"Bearer a\rset-cookie: x=1")],
    "bare LF in the token": [(b"authorization", b"Bearer a\nset-cookie: x=1")],
    "two hosts": [(b"host", b"evil.example"), (b"host", b"mcp.example.com")],
    "NUL in a header name": [(b"x-\x00", b"1")],
    "header name that is not UTF-8": [(b"x-\xff\xfe", b"1")],
    "space in a header name": [(b"authorization ", b"Bearer " + GOOD.encode())],
    "tab in front of the scheme": [(b"authorization", b"\x0bBearer " + GOOD.encode())],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_HEADERS)
def test_refused_headers(name: str, envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    headers = [(b"x-test-id", test_id.encode()), *REFUSED_HEADERS[name]]
    assert_refused(answer(envoy, encode("POST", "/mcp", headers, b"{}", host=HOST), "POST"))
    assert not recorder.seen(test_id)


# Oddities beside a good token: allowed, and passed on without harm.
ALLOWED_HEADERS: dict[str, list[tuple[bytes, bytes]]] = {
    "header that is not UTF-8": [(b"x-odd", NOT_UTF8)],
    "identity header that is not UTF-8": [(b"x-mcp-sub", NOT_UTF8), (b"x_mcp_sub", NOT_UTF8)],
    "origin that is not UTF-8": [(b"origin", NOT_UTF8)],
    "cookie that is not UTF-8": [(b"cookie", NOT_UTF8)],
    "200 headers": [(b"x-many-%d" % number, b"v" * 20) for number in range(200)],
    "200 headers of one name": [(b"x-same", b"%d" % number) for number in range(200)],
    "60 KiB header": [(b"x-large", b"a" * 61440)],
    "identity header 200 times": [(b"x-mcp-scope", b"mcp:admin")] * 200,
    "two origins": [(b"origin", b"https://a.example"), (b"origin", b"https://b.example")],
}


@pytest.mark.parametrize("name", ALLOWED_HEADERS)
def test_allowed_headers(name: str, envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    good = (b"authorization", b"Bearer " + GOOD.encode())
    headers = [(b"x-test-id", test_id.encode()), good, *ALLOWED_HEADERS[name]]
    response = answer(envoy, encode("GET", "/mcp", headers, host=HOST))
    assert response is not None and response.status == 200
    arrived = recorder.one(test_id)
    assert arrived.all("authorization") == []
    assert arrived.all("x-mcp-scope") == ["mcp:read"]
    assert arrived.all("x-mcp-sub") == [] == arrived.all("x_mcp_sub")


@pytest.mark.parametrize(
    "claim",
    ["a\r\nx-injected: 1", "a\nx-injected: 1", "a\x00b", "caf\u00e9", "\U0001f600", "a" * 4000, " a ", ""],
    ids=["crlf", "lf", "nul", "latin-1", "emoji", "long", "spaces", "empty"],
)  # fmt: skip
def test_claims_that_make_bad_headers(claim: str, envoy: Envoy, recorder: Recorder) -> None:
    """The authorization server signed it, but a header must still not be split by it."""
    test_id = new_test_id()
    token = tokens.mint({"claims": {"sub": claim}}, CLAIMS)
    response = http1.get(
        envoy.port, "/mcp", token, [("x-test-id", test_id), ("x-mcp-sub", "forged")]
    )
    assert response.status < 500
    for arrived in recorder.seen(test_id):
        assert arrived.all("x-injected") == []
        assert "forged" not in arrived.all("x-mcp-sub")
        assert len(arrived.all("x-mcp-sub")) <= 1


# Whole requests, as bytes; the marker header is added where there is a place for it.
RAW: dict[str, bytes] = {
    "path that is not UTF-8": b"GET /mcp/\xff\xfe HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "NUL in the path": b"GET /mcp\x00/x HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "no path": b"GET  HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "path without a slash": b"GET mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "60 KiB path": b"GET /mcp/" + b"a" * 61440 + b" HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "60 KiB of dot segments": b"GET " + b"/.." * 20480 + b"/mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "60 KiB of escapes": b"GET /mcp" + b"%%2e" * 15360 + b" HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "no host": b"GET /mcp HTTP/1.1\r\n%s\r\n",
    "empty host": b"GET /mcp HTTP/1.1\r\nhost:\r\n%s\r\n",
    "host that is not UTF-8": b"GET /mcp HTTP/1.1\r\nhost: \xff\xfe\r\n%s\r\n",
    "host with a path": b"GET /mcp HTTP/1.1\r\nhost: a.example/x\r\n%s\r\n",
    "HTTP/1.0 without host": b"GET /mcp HTTP/1.0\r\n%s\r\n",
    "HTTP/1.0": b"GET /mcp HTTP/1.0\r\nhost: mcp.example.com\r\n%s\r\n",
    "HTTP/0.9": b"GET /mcp\r\n\r\n",
    "CONNECT": b"CONNECT mcp.example.com:443 HTTP/1.1\r\nhost: mcp.example.com:443\r\n%s\r\n",
    "CONNECT of a path": b"CONNECT /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "absolute form": b"GET http://mcp.example.com/mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "absolute form of another host": b"GET http://evil.example/mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "absolute form with an ambiguous path": b"GET http://mcp.example.com//mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "fragment in the target": b"GET /mcp#x HTTP/1.1\r\nhost: mcp.example.com\r\n%s\r\n",
    "length and chunks": b"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%scontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /mcp HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n%scontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "bare LF line ends": b"GET /mcp HTTP/1.1\nhost: mcp.example.com\n\n",
    "garbage": bytes(range(1, 256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RAW)
def test_raw_requests(name: str, envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    sent = RAW[name]
    if b"%s" in sent:
        sent = sent.replace(b"%s", b"x-test-id: %s\r\nconnection: close\r\n" % test_id.encode())
        sent = sent.replace(b"%%", b"%")
    method = sent.split(b" ")[0].decode("latin-1")
    assert_refused(answer(envoy, sent, "GET" if method == "CONNECT" else method))
    assert not recorder.seen(test_id)


def test_asterisk_form(envoy: Envoy) -> None:
    """`OPTIONS *` has a target that belongs to no resource: nothing of ours is in its answer."""
    response = answer(
        envoy, b"OPTIONS * HTTP/1.1\r\nhost: mcp.example.com\r\nconnection: close\r\n\r\n"
    )
    assert response is None or response.header("www-authenticate") is None


def test_connect_has_no_path_to_judge_by(envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    lines = [("x-test-id", test_id), BEARER, ("x-mcp-sub", "forged")]
    sent = encode("CONNECT", "mcp.example.com:443", lines, host="mcp.example.com:443")
    response = answer(envoy, sent)
    assert response is not None and response.status == 400
    assert response.json() == {
        "error": "invalid_request",
        "error_description": cases.reasons()["path_missing"]["description"],
    }
    assert envoy.logged(test_id)["reason"] == "path_missing"
    assert not recorder.seen(test_id)


def test_folded_line(envoy: Envoy, recorder: Recorder) -> None:
    """Obsolete, and unfolded by Envoy (RFC 9112 section 5.2): a good token is still removed."""
    test_id = new_test_id()
    folded = [("x-test-id", test_id), ("authorization", f"Bearer\r\n {GOOD}")]
    response = answer(envoy, encode("GET", "/mcp", folded, host=HOST))
    assert response is None or response.status in (200, 400, 401)
    assert all(arrived.all("authorization") == [] for arrived in recorder.seen(test_id))


def test_http10_with_a_good_token(envoy: Envoy) -> None:
    sent = b"GET /mcp HTTP/1.0\r\nhost: mcp.example.com\r\nauthorization: Bearer %s\r\n\r\n"
    response = answer(envoy, sent % GOOD.encode())
    assert response is not None and response.status == 200


def test_absolute_form_with_a_good_token(envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    lines = [("x-test-id", test_id), BEARER]
    sent = encode("GET", "http://mcp.example.com/mcp", lines, host="evil.example")
    response = answer(envoy, sent)
    assert response is not None and response.status == 200
    assert recorder.one(test_id).all("authorization") == []


def test_random_bytes_in_headers(envoy: Envoy, recorder: Recorder) -> None:
    """The same 300 requests each time: the seed is fixed."""
    source = random.Random(20260728)
    before = len(recorder.everything())
    names = [b"authorization", b"origin", b"x-mcp-sub", b"access-control-request-method", b"host"]
    for _ in range(300):
        value = bytes(source.choice(range(1, 256)) for _ in range(source.randrange(80)))
        value = value.replace(b"\r", b"").replace(b"\n", b"")
        if source.random() < 0.5:
            value = b"Bearer " + value
        path = "/mcp" + source.choice(["", "/x", "?q", "/%41", "/a/b/c"])
        method = source.choice(["GET", "POST", "OPTIONS", "DELETE"])
        response = answer(envoy, encode(method, path, [(source.choice(names), value)], host=HOST))
        # A random Origin with a random method may make a preflight: 204 has nothing to protect.
        assert response is None or response.status == 204 or 400 <= response.status < 500
    assert len(recorder.everything()) == before


H2_BASE = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"mcp.example.com"),
    (b":path", b"/mcp"),
]


def h2_with(*changes: tuple[bytes, bytes | None]) -> list[tuple[bytes, bytes]]:
    replaced = dict(changes)
    kept = [(name, replaced.get(name, value)) for name, value in H2_BASE]
    added = [(name, value) for name, value in changes if name not in dict(H2_BASE)]
    return [(name, value) for name, value in kept + added if value is not None]


H2_REFUSED: dict[str, list[tuple[bytes, bytes]]] = {
    "no token": h2_with(),
    "no authority": h2_with((b":authority", None)),
    "no authority but host": h2_with((b":authority", None), (b"host", b"mcp.example.com")),
    "no path": h2_with((b":path", None)),
    "empty path": h2_with((b":path", b"")),
    "no method": h2_with((b":method", None)),
    "no scheme": h2_with((b":scheme", None)),
    "path that is not UTF-8": h2_with((b":path", b"/mcp/\xff\xfe")),
    "authority that is not UTF-8": h2_with((b":authority", b"\xff\xfe")),
    "authority with user": h2_with((b":authority", b"user@mcp.example.com")),
    "token that is not UTF-8": h2_with((b"authorization", b"Bearer \xff\xfe")),
    "token with CR LF": h2_with((b"authorization", b"Bearer a\r\nset-cookie: x=1")),
    "token with NUL": h2_with((b"authorization", b"Bearer a\x00b")),
    "header name that is not UTF-8": h2_with((b"x-\xff\xfe", b"1")),
    "header name in capitals": h2_with((b"Authorization", b"Bearer " + GOOD.encode())),
    "two authorizations": [*H2_BASE, (b"authorization", b"Bearer " + GOOD.encode()), (b"authorization", b"Bearer " + GOOD.encode())],
    "two paths": [*H2_BASE, (b":path", b"/health")],
    "pseudo-header at the end": [(b"x-first", b"1"), *H2_BASE],
    "unknown pseudo-header": [*H2_BASE, (b":token", b"x")],
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"mcp.example.com:443")],
    "extended CONNECT": h2_with((b":method", b"CONNECT"), (b":protocol", b"websocket")),
    "60 KiB token": h2_with((b"authorization", b"Bearer " + b"a" * 61440)),
    "200 headers": [*H2_BASE, *((b"x-many-%d" % number, b"v") for number in range(200))],
}  # fmt: skip


@pytest.mark.parametrize("name", H2_REFUSED)
def test_http2_refused(name: str, envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    try:
        response = http2.request(envoy.port, [*H2_REFUSED[name], (b"x-test-id", test_id.encode())])
    except http2.StreamReset:
        response = None
    assert_refused(response)
    assert not recorder.seen(test_id)


def test_http2_with_a_good_token(envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    headers = h2_with(
        (b"authorization", b"Bearer " + GOOD.encode()), (b"x-test-id", test_id.encode())
    )
    assert http2.request(envoy.port, headers).status == 200
    assert recorder.one(test_id).all("authorization") == []


def test_http2_post_with_a_body(envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    headers = h2_with(
        (b":method", b"POST"),
        (b"authorization", b"Bearer " + GOOD.encode()),
        (b"x-test-id", test_id.encode()),
    )
    assert http2.request(envoy.port, headers, b"x" * 10_000).status == 200
    assert recorder.one(test_id).body == b"x" * 10_000
