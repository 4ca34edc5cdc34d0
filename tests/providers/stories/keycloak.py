"""Keycloak: with an audience mapper, as most run it; and with its experimental features."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from mcp.shared.auth import OAuthClientInformationFull
from support.code_flow import REDIRECT_URI, LoginFailed
from support.mcp_client import Login

from .. import story
from ..gateway import Gateway, Json
from ..servers.keycloak import Keycloak, audience_mapper
from ..stage import OTHER_RESOURCE, Running, Stage, check


def start(directory: Path, resources: list[str], **options: Any) -> Keycloak:
    return Keycloak(directory, resources=resources, **options)


def run(stage: Stage) -> None:
    with stage.running(start) as running:
        server = running.server
        assert isinstance(server, Keycloak)
        story.discovery(stage, running)
        story.login(stage, running)
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
        refusals(stage, running)
        known_client(stage, running, server)
        roles(stage, running, server)
        lightweight(stage, running, server)
        bound(stage, running, server)
        introspection(stage, running, server)
        steps(stage, running, server)
    with stage.running(lambda *where: start(*where, features=True)) as running:
        server = running.server
        assert isinstance(server, Keycloak)
        resource_indicators(stage, running, server)


def refusals(stage: Stage, running: Running) -> None:
    server = running.server
    logged_in = server.login(running.url, "openid mcp:tools")
    story.accepted(stage, running, logged_in["access_token"])
    another = server.login(None, "mcp:tools-1")["access_token"]
    without = server.login(running.url, "openid")["access_token"]
    attempts = {
        "no token": (None, 401, "credentials_missing"),
        "for another resource": (another, 401, "audience_not_allowed"),
        "scope not asked for": (without, 401, "claims_malformed"),
        "ID token": (logged_in["id_token"], 401, "not_an_access_token"),
        "refresh token": (logged_in["refresh_token"], 401, "algorithm_not_allowed"),
    }
    story.refused(stage, running, attempts)


def login(server: Keycloak, client_id: str, resource: str, scope: str = "mcp:tools") -> str:
    return server.client(client_id).login(resource=resource, scope=scope)["access_token"]


def known_client(stage: Stage, running: Running, server: Keycloak) -> None:
    server.add_client("desk")
    token = login(server, "desk", running.url)
    check(running.gateway.judged(token) == (200, None), story.claims(token))
    stage.saw("made by hand", f"`aud` is {story.claims(token)['aud']}")


def roles(stage: Stage, running: Running, server: Keycloak) -> None:
    """A realm role and a role of a client, asked for by `require_claims`."""
    server.add_client("tools", secret="not used", standardFlowEnabled=False)
    [tools] = server.admin("GET", "/clients?clientId=tools")
    [user] = server.admin("GET", "/users?exact=true&username=alice")
    server.admin("POST", "/roles", {"name": "mcp-user"})
    realm_role = server.admin("GET", "/roles/mcp-user")
    server.admin("POST", f"/clients/{tools['id']}/roles", {"name": "operator"})
    client_role = server.admin("GET", f"/clients/{tools['id']}/roles/operator")
    for claim, role, below in (
        ("/realm_access/roles", realm_role, "realm"),
        ("/resource_access/tools/roles", client_role, f"clients/{tools['id']}"),
    ):

        def edit(configuration: Json, claim: str = claim, name: str = role["name"]) -> None:
            configuration["resources"][0]["require_claims"] = {claim: [name]}

        folder = stage.directory / f"roles-{role['name']}"
        with Gateway(folder, running.gateway.port, server, edit=edit, listens=False) as gateway:
            hand_made, registered = [], []
            for given in (False, True):
                if given:
                    server.admin("POST", f"/users/{user['id']}/role-mappings/{below}", [role])
                hand_made.append(gateway.judged(login(server, "desk", running.url)))
                registered.append(gateway.judged(server.login(running.url)["access_token"]))
            # Clients that register themselves have neither full scope nor the scope `roles`, whose
            # mappers make the claim: both have to be in `mcp:tools`.
            scope = f"/client-scopes/{server.scope_id('mcp:tools')}"
            server.admin("POST", f"{scope}/scope-mappings/{below}", [role])
            server.admin("POST", f"{scope}/protocol-mappers/models", role_mapper(claim))
            registered.append(gateway.judged(server.login(running.url)["access_token"]))
        no, yes = (403, "claim_not_allowed"), (200, None)
        check(hand_made == [no, yes], hand_made)
        check(registered == [no, no, yes], registered)
        stage.saw(
            f"role in `{claim}`",
            "without it 403 `claim_not_allowed`, with it 200; a client that registered itself: only "
            "once `mcp:tools` has the role (tab *Scope*) and a mapper for the claim",
        )


def role_mapper(claim: str) -> Json:
    kind = "realm" if claim.startswith("/realm_access") else "client"
    return {
        "name": f"{kind} roles",
        "protocol": "openid-connect",
        "protocolMapper": f"oidc-usermodel-{kind}-role-mapper",
        "config": {
            "claim.name": claim.removeprefix("/").replace("/", "."),
            "jsonType.label": "String",
            "multivalued": "true",
            "access.token.claim": "true",
        },
    }


def lightweight(stage: Stage, running: Running, server: Keycloak) -> None:
    server.add_client("light", attributes={"client.use.lightweight.access.token.enabled": "true"})
    token = login(server, "light", running.url)
    stage.saw("lightweight token", f"{shown(token)}: {judged(running, token)}")
    server.set_lightweight("mcp:tools")
    token = login(server, "light", running.url)
    stage.saw(
        "lightweight, mapper with *Add to lightweight access token*",
        f"{shown(token)}: {judged(running, token)}",
    )


def shown(token: str) -> str:
    return ", ".join(sorted(story.claims(token)))


def judged(running: Running, token: str, **options: str) -> str:
    status, reason = running.gateway.judged(token, **options)
    return f"{status} `{reason}`" if reason else str(status)


def bound(stage: Stage, running: Running, server: Keycloak) -> None:
    """A token that is bound to a key by DPoP is refused as a Bearer token."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)

    def proof(endpoint: str) -> dict[str, str]:
        claims = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": endpoint, "iat": int(time.time())}
        headers = {"typ": "dpop+jwt", "jwk": public}
        return {"dpop": jwt.encode(claims, key, "ES256", headers)}

    client = dataclasses.replace(server.client("desk"), token_headers=proof)
    answer = client.login(resource=running.url, scope="mcp:tools")
    check(answer["token_type"] == "DPoP", answer["token_type"])
    token = answer["access_token"]
    check("jkt" in story.claims(token)["cnf"], story.claims(token))
    story.refused(stage, running, {"DPoP-bound, as Bearer": (token, 401, "sender_constrained")})


def introspection(stage: Stage, running: Running, server: Keycloak) -> None:
    """Since 26.6.2 the client that asks has to be in the token's audience."""
    token = login(server, "desk", running.url)
    asking = server.add_introspection()
    check(asking.ask(token) == {"active": False}, asking.ask(token))
    answer = asking.ask(login(server, "desk", running.url))
    check(answer["active"] is True, answer)
    stage.saw(
        "introspection",
        f"inactive, unless the client that asks is in `aud` ({answer['aud']}); `typ`: {answer['typ']}",
    )


def steps(stage: Stage, running: Running, server: Keycloak) -> None:
    """What a person sees where a step of the page is left out; each is put right again."""
    before = server.set_policy("trusted-hosts", {"trusted-hosts": []})
    story.left_out(stage, "*Trusted Hosts*", running, "Trusted Hosts")
    server.set_policy("trusted-hosts", before)
    models = f"/client-scopes/{server.scope_id('mcp:tools')}/protocol-mappers/models"
    mappers = server.admin("GET", models)
    for mapper in mappers:
        server.admin("DELETE", f"{models}/{mapper['id']}")
    story.left_out(stage, "the audience mapper", running, "claims_malformed")
    server.admin("POST", models, audience_mapper("mcp-server", client=True))
    story.left_out(
        stage, "*Included Client Audience* instead of *Custom*", running, "audience_not_allowed"
    )
    optional = f"/default-optional-client-scopes/{server.scope_id('mcp:tools')}"
    server.admin("DELETE", optional)
    story.left_out(stage, "the scope's type *Optional*", running, "scope")
    server.admin("PUT", optional)

    def edit(configuration: Json) -> None:
        issuer = configuration["issuers"][0]
        issuer["issuer"] = issuer["issuer"].replace("127.0.0.1", "localhost")

    folder = stage.directory / "hostname"
    with Gateway(folder, running.gateway.port, server, edit=edit, listens=False) as gateway:
        got = gateway.judged(login(server, "desk", running.url))
    check(got == (401, "issuer_not_allowed"), got)
    stage.saw("another name than `hostname` in the filter's `issuer`", f"{got[0]} `{got[1]}`")


def resource_indicators(stage: Stage, running: Running, server: Keycloak) -> None:
    """`--features=resource-indicators,cimd`."""
    story.discovery(stage, running)
    story.left_out(stage, "features: the MCP server's client", running, "invalid_target")
    server.add_client("mcp-server", secret="not used", attributes={"resource_url": running.url})
    story.left_out(stage, "features: the mapper for that client", running, "invalid_target")
    mapped = {"protocolMappers": [audience_mapper("mcp-server", client=True)]}
    server.add_client("mapped", **mapped)
    tell(stage, running, server, "mapper at the client", "mapped", running.url)
    tell(stage, running, server, "another resource", "mapped", OTHER_RESOURCE)
    tell(stage, running, server, "no `resource`", "mapped", None)
    scope = server.scope_id("mcp:tools")
    mapper = audience_mapper("mcp-server", client=True)
    server.admin("POST", f"/client-scopes/{scope}/protocol-mappers/models", mapper)
    story.login(stage, running)
    client_id_metadata_document(stage, running, server)


def tell(
    stage: Stage, running: Running, server: Keycloak, case: str, client: str, resource: str | None
) -> None:
    try:
        token = server.client(client).login(resource=resource, scope="mcp:tools")["access_token"]
    except LoginFailed as error:
        seen = " ".join(str(error).split())[:160]
    else:
        seen = f"`aud` {story.claims(token).get('aud')}: {judged(running, token)}"
    stage.saw(f"resource indicators: {case}", seen)


def client_id_metadata_document(stage: Stage, running: Running, server: Keycloak) -> None:
    """A client whose ID is the URL of its metadata, at a host that a client policy trusts."""
    executor = {
        "executor": "client-id-metadata-document",
        "configuration": {
            "cimd-allow-http-scheme": True,
            "cimd-allow-permitted-domains": ["127.0.0.1"],
            "cimd-restrict-same-domain": False,
            "cimd-required-properties": [],
            "only-allow-confidential-client": False,
        },
    }
    condition = {
        "condition": "client-id-uri",
        "configuration": {
            "client-id-uri-scheme": ["http"],
            "client-id-uri-allow-permitted-domains": ["127.0.0.1"],
        },
    }
    with metadata_document() as url:
        login = Login(
            client=OAuthClientInformationFull.model_validate(
                {
                    "client_id": url,
                    "issuer": server.issuer,
                    "redirect_uris": [REDIRECT_URI],
                    "token_endpoint_auth_method": "none",
                }
            ),
            browse=server.browse,
        )
        story.left_out(stage, "CIMD: the client policy", running, "", dataclasses.replace(login))
        server.set_client_policy("cimd", [executor], [condition])
        who, refreshed = story.run_sdk(running, login, refreshes=1)
        check(who["x-mcp-client-id"] == url, who)
        stage.saw(
            "client ID metadata document",
            f"{story.SDK}: logged in, {refreshed} refresh; the MCP server sees the client's URL",
        )


@contextmanager
def metadata_document() -> Iterator[str]:
    """The URL of a client's metadata, served by this process."""

    class Document(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            port = self.server.server_address[1]
            document = {
                "client_id": f"http://127.0.0.1:{port}/client.json",
                "client_name": "a client with a document",
                "redirect_uris": [REDIRECT_URI],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                # The SDK asks for `offline_access` too, where the metadata name it.
                "scope": "mcp:tools offline_access",
            }
            text = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Document) as server:
        worker = threading.Thread(target=server.serve_forever)
        worker.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/client.json"
        finally:
            server.shutdown()
            worker.join()
