"""The providers of docs/providers: each page's configuration with tokens like its provider's.

tests/providers has, for each, what the provider documents: where metadata and keys are, what the
keys and the tokens look like. The tokens are made here, so this shows that the configurations fit
the documents, not that the providers keep to them. Only oidc-provider itself is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support import cases, http1, paths, tokens
from support.authorization import AuthorizationServer
from support.bootstrap import Listener
from support.cases import Case
from support.envoy import Envoy
from support.key_server import Fault, KeyServer
from support.ports import ReservedPort
from support.recorder import Recorder, new_test_id
from support.waiting import until

Json = dict[str, Any]

PAGES = paths.REPOSITORY / "docs" / "providers"
FIXTURES = paths.REPOSITORY / "tests" / "providers"
SCHEMA = json.loads((paths.REPOSITORY / "envoy" / "config.schema.json").read_text())

RECORDED = re.compile(r"Checked: answers of .+ recorded on \d{4}-\d\d-\d\d \(.+\), replayed")
NOT_RUN = "Checked: fixture by documented claims; not run against the provider"
RUN = re.compile(
    r"Checked: run with .+ on \d{4}-\d\d-\d\d \(`make \w+`\), and by documented claims"
)


@dataclass(frozen=True)
class Fixture:
    name: str
    document: Json

    def __str__(self) -> str:
        return self.name

    def page(self) -> str:
        return (PAGES / self.document["page"]).read_text()

    def keys(self) -> list[Json]:
        return [
            key["jwk"]
            if "jwk" in key
            else {
                **{
                    member: value
                    for member, value in tokens.public_jwk(key["key"]).items()
                    if member not in key.get("remove", ())
                },
                **key["set"],
            }
            for key in self.document["jwks"]
        ]

    def cases(self) -> list[Case]:
        return [
            Case(
                file=self.name,
                name=one["name"],
                config=self.name,
                host="mcp.example.com",
                request={
                    "path": "/mcp",
                    "headers": [["authorization", "Bearer ${token}"]],
                    **one.get("request", {}),
                },
                claims={},
                challenge=self.document["challenge"],
                recipe=self._recipe(one.get("token", {})),
                expect=one["expect"],
            )
            for one in self.document["cases"]
        ]

    def _recipe(self, change: Json) -> Json:
        like = self.document["tokens"].get(change.get("like"), {})
        return {
            **like,
            "header": {**like.get("header", {}), **change.get("header", {})},
            "claims": {**like.get("claims", {}), **change.get("claims", {})},
        }


class Host(KeyServer):
    """One host of a provider: what the fixture says is on it, and nothing else."""

    def __init__(self, host: Json, metadata: Json, keys: list[Json]) -> None:
        super().__init__(
            keys, rfc8414=False, openid=False, jwks_path=host.get("keys", "/none of its keys")
        )
        self._discovery_paths = set(host.get("metadata", ()))
        self._metadata = metadata

    def _document(self, is_discovery: bool, fault: Fault) -> bytes:
        return json.dumps(self._metadata if is_discovery else {"keys": self.keys}).encode()


@dataclass(frozen=True)
class Provider:
    fixture: Fixture
    hosts: list[Host]
    envoy: Envoy

    def asked(self) -> list[str]:
        """The paths that were asked for on all hosts, in their order, each as often as it was."""
        times = [
            (at, path)
            for host in self.hosts
            for path in host.fetched()
            for at in host.fetch_times(path)
        ]
        return [path for _, path in sorted(times)]


def fixtures() -> list[Fixture]:
    return [
        Fixture(path.stem, json.loads(path.read_text())) for path in sorted(FIXTURES.glob("*.json"))
    ]


ALL = pytest.mark.parametrize("fixture", fixtures(), ids=str)


class Providers:
    """One Envoy for each provider, started when a test first needs it."""

    def __init__(self, directory: Path, wasm: Path, recorder: Recorder) -> None:
        self._directory = directory
        self._wasm = wasm
        self._recorder = recorder
        self._running: dict[str, Provider] = {}
        self._stack = ExitStack()

    def get(self, fixture: Fixture) -> Provider:
        if fixture.name not in self._running:
            self._running[fixture.name] = self._start(fixture)
        return self._running[fixture.name]

    def _start(self, fixture: Fixture) -> Provider:
        document = fixture.document
        hosts = {
            cluster: self._stack.enter_context(Host(host, document["metadata"], fixture.keys()))
            for cluster, host in document["clusters"].items()
        }
        envoy = self._stack.enter_context(
            Envoy(
                self._directory / fixture.name,
                {"mcp": Listener(wasm=self._wasm, configuration=document["filter"])},
                {"upstream": self._recorder.port}
                | {cluster: host.port for cluster, host in hosts.items()},
            )
        )
        return Provider(fixture, list(hosts.values()), envoy)

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def providers(
    wasm: Path, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Providers]:
    running = Providers(tmp_path_factory.mktemp("providers"), wasm, recorder)
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("fixture", "case"),
    [pytest.param(fixture, case, id=case.id) for fixture in fixtures() for case in fixture.cases()],
)
def test_token(fixture: Fixture, case: Case, providers: Providers, recorder: Recorder) -> None:
    envoy = providers.get(fixture).envoy
    test_id = new_test_id()
    token = case.token()
    response = http1.request(
        envoy.port,
        "POST",
        case.request["path"],
        [("x-test-id", test_id)]
        + [(name, value.replace("${token}", token)) for name, value in case.request["headers"]],
        host=case.host,
    )
    logged = envoy.logged(test_id)
    cases.check_response(case, response)
    cases.check_upstream(case, recorder.seen(test_id))
    cases.check_mark(case, logged)
    cases.check_log(token, envoy.log())


@ALL
def test_keys_come_from_where_the_provider_has_them(fixture: Fixture, providers: Providers) -> None:
    """Each place is asked once: metadata in the filter's order, then the keys, on their host."""
    provider = providers.get(fixture)
    wanted = len(fixture.document["asked"])
    asked = until(
        lambda: found if len(found := provider.asked()) >= wanted else None, "the fetch of the keys"
    )
    assert asked == fixture.document["asked"]

    def counted(metric: str) -> int:
        return sum(provider.envoy.stats(f"{metric};").values())

    skipped = fixture.document["skipped_keys"]
    jwks = fixture.document["jwks"]
    for_signatures = [key for key in jwks if (key.get("jwk") or key["set"]).get("use") != "enc"]
    usable = len(for_signatures) - skipped
    until(lambda: counted("mcp_auth_keys") == usable, f"{usable} usable keys")
    until(lambda: counted("mcp_auth_keys_skipped_total") >= skipped, "the skipped keys")
    assert counted("mcp_auth_keys_skipped_total") == skipped


@ALL
def test_the_page_shows_the_configuration_that_is_tested(fixture: Fixture) -> None:
    shown = [json.loads(one) for one in blocks(fixture.page(), "json")]
    assert fixture.document["filter"] in shown
    jsonschema.validate(fixture.document["filter"], SCHEMA)


@ALL
def test_the_page_shows_the_token_that_is_tested(fixture: Fixture) -> None:
    """`header` and `claims` of the first token; times are `…` on the page."""
    [header, claims] = [
        json.loads(text.replace("…", '"…"')) for text in blocks(fixture.page(), "js")
    ]
    token = next(iter(fixture.document["tokens"].values()))
    if "verbatim" in token:
        parts = [json.loads(tokens.decode(part)) for part in token["verbatim"].split(".")[:2]]
        token = {"header": parts[0], "claims": parts[1] | {"exp": {"$now": 0}, "iat": {"$now": 0}}}
    assert header == {name: one for name, one in token["header"].items() if one is not None}
    assert claims == {
        name: "…" if isinstance(one, dict) and "$now" in one else one
        for name, one in token["claims"].items()
    }


@ALL
def test_the_page_names_sources_and_reasons(fixture: Fixture) -> None:
    page = fixture.page()
    for source in fixture.document["sources"]:
        assert source in page, f"{source} is not on the page"
    reasons = {case.expect["reason"] for case in fixture.cases() if "reason" in case.expect}
    for reason in reasons - {"credentials_missing"}:
        assert f"`{reason}`" in page, f"{reason} is not explained"
    last = page.rstrip().splitlines()[-1]
    assert last == NOT_RUN or RUN.fullmatch(last) or RECORDED.fullmatch(last), last


def test_every_page_is_in_the_table() -> None:
    table = (PAGES / "README.md").read_text()
    pages = {page.name for page in PAGES.glob("*.md")} - {"README.md"}
    assert pages >= {fixture.document["page"] for fixture in fixtures()}
    for page in pages:
        assert f"]({page})" in table, f"{page} is not in the table"


def test_pages_that_are_run_have_a_configuration_that_is_valid() -> None:
    """`make providers` runs them with their servers; they have no fixture."""
    fixed = {fixture.document["page"] for fixture in fixtures()}
    for page in PAGES.glob("*.md"):
        if page.name not in fixed | {"README.md"}:
            for text in blocks(page.read_text(), "json"):
                jsonschema.validate(json.loads(text), SCHEMA)


def test_oidc_provider(
    start_envoy: Callable[..., Envoy], recorder: Recorder, tmp_path: Path
) -> None:
    """Its page, run: the configuration with its own URLs, and the token's shape."""
    page = (PAGES / "oidc-provider.md").read_text()
    configuration = json.loads(blocks(page, "json")[0])
    [issuer], [resource] = configuration["issuers"], configuration["resources"]
    jsonschema.validate(configuration, SCHEMA)
    with ReservedPort() as reserved:
        url = f"http://127.0.0.1:{reserved.number}/mcp"
        with AuthorizationServer(tmp_path, resources=[url]) as server:
            issuer["issuer"], resource["resource"] = server.issuer, url
            envoy = start_envoy(configuration, {issuer["cluster"]: server.port})
            token = server.token(url, " ".join(resource["scopes"]))
            test_id = new_test_id()
            answer = http1.get(envoy.port, "/mcp", token, [("x-test-id", test_id)])
            assert answer.status == 200, answer.body
            other = server.client_credentials("https://unknown.example.com", "mcp:read", expect=400)
    assert other["error"] == "invalid_target"
    seen = recorder.one(test_id)
    assert seen.header("x-mcp-scope") == "mcp:read"
    assert seen.header("x-mcp-client-id")
    [header, claims] = [json.loads(text.replace("…", '"…"')) for text in blocks(page, "js")]
    parts = [json.loads(tokens.decode(part)) for part in token.split(".")[:2]]
    for shown, made in zip((header, claims), parts, strict=True):
        assert shown.keys() == made.keys()
    assert (parts[0]["typ"], parts[0]["alg"]) == (header["typ"], header["alg"])
    assert parts[1]["aud"] == url


def test_the_oidc_provider_page_shows_what_is_run() -> None:
    """Its options are a part of the server's source, but for the indentation."""
    [options] = blocks((PAGES / "oidc-provider.md").read_text(), "javascript")
    run = paths.AUTHORIZATION_SERVER.read_text()

    def lines(text: str) -> str:
        return "\n".join(line.strip() for line in text.strip().splitlines())

    assert lines(options) in lines(run)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
