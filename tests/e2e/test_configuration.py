"""A configuration that is wrong never serves: Envoy refuses it, and its log names the field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import envoy as envoys
from support import http1, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.processes import ChildFailed
from support.recorder import Recorder, new_test_id

Json = dict[str, Any]

GOOD: Json = {
    "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
    "resources": [{"resource": "https://mcp.example.com/mcp", "scopes": ["mcp:read"]}],
}


def changed(change: Callable[[Json], Any]) -> Json:
    configuration = copy.deepcopy(GOOD)
    change(configuration)
    return configuration


def issuer(**members: Any) -> Json:
    """GOOD with these members of its issuer; None removes one."""
    return changed(lambda made: _update(made["issuers"][0], members))


def resource(**members: Any) -> Json:
    return changed(lambda made: _update(made["resources"][0], members))


def _update(target: Json, members: Json) -> None:
    for name, value in members.items():
        target.pop(name, None)
        if value is not None:
            target[name] = value


JWKS = tokens.jwks(["rsa-1"])

# name: (configuration, what one line of the log must contain)
BAD: dict[str, tuple[Json | str, list[str]]] = {
    "empty": ("", ["configuration"]),
    "no JSON": ("{", ["configuration"]),
    "no object": ("[]", ["configuration"]),
    "unknown field": (changed(lambda made: made.update(resorces=[])), ["resorces"]),
    "unknown field of an issuer": (issuer(jwks_url="https://x"), ["issuers[0]", "jwks_url"]),
    "unknown field of a resource": (resource(scope="x"), ["resources[0]", "scope"]),
    "no issuers": (changed(lambda made: made.pop("issuers")), ["issuers"]),
    "empty issuers": (changed(lambda made: made.update(issuers=[])), ["issuers"]),
    "no resources": (changed(lambda made: made.pop("resources")), ["resources"]),
    "empty resources": (changed(lambda made: made.update(resources=[])), ["resources"]),
    "issuer without its name": (issuer(issuer=None), ["issuers[0]", "issuer"]),
    "issuer that is no URL": (issuer(issuer="auth"), ["issuers[0].issuer", "auth"]),
    "issuer with a query": (issuer(issuer="https://a.example?x"), ["issuers[0].issuer"]),
    "issuer with a fragment": (issuer(issuer="https://a.example#x"), ["issuers[0].issuer"]),
    "issuer twice": (changed(lambda made: made["issuers"].append(made["issuers"][0])), ["issuers[1]"]),
    "issuer of a wrong type": (issuer(issuer=1), ["issuers[0].issuer"]),
    "neither cluster nor keys": (issuer(cluster=None), ["issuers[0]", "cluster"]),
    "cluster and keys": (issuer(jwks=JWKS), ["issuers[0]", "jwks"]),
    "keys and where to find them": (issuer(cluster=None, jwks=JWKS, jwks_uri="https://a.example/k"), ["issuers[0]", "jwks_uri"]),
    "empty cluster": (issuer(cluster=""), ["issuers[0].cluster"]),
    "keys that are no set": (issuer(cluster=None, jwks={"kty": "RSA"}), ["issuers[0].jwks"]),
    "keys of which none is usable": (issuer(cluster=None, jwks={"keys": []}), ["issuers[0].jwks"]),
    "jwks_uri that is no URL": (issuer(jwks_uri="/keys"), ["issuers[0].jwks_uri"]),
    "symmetric algorithm": (issuer(algorithms=["HS256"]), ["issuers[0].algorithms", "HS256"]),
    "algorithm none": (issuer(algorithms=["none"]), ["issuers[0].algorithms", "none"]),
    "no algorithms": (issuer(algorithms=[]), ["issuers[0].algorithms"]),
    "negative timing": (issuer(keys={"timeout_seconds": -1}), ["issuers[0].keys.timeout_seconds"]),
    "timing of zero": (issuer(keys={"timeout_seconds": 0}), ["issuers[0].keys.timeout_seconds"]),
    "unknown timing": (issuer(keys={"timeout": 1}), ["issuers[0].keys", "timeout"]),
    "resource without its URL": (resource(resource=None), ["resources[0]", "resource"]),
    "resource that is no URL": (resource(resource="mcp"), ["resources[0].resource", "mcp"]),
    "resource with a fragment": (resource(resource="https://mcp.example.com/mcp#a"), ["resources[0].resource", "fragment"]),
    "http resource with a fragment": (resource(resource="http://mcp.example.com/mcp#a"), ["resources[0].resource", "fragment"]),
    "resource of another scheme": (resource(resource="ftp://mcp.example.com/mcp"), ["resources[0].resource"]),
    "resource with user": (resource(resource="https://a:b@mcp.example.com/mcp"), ["resources[0].resource"]),
    "resource with dot segments": (resource(resource="https://mcp.example.com/a/../mcp"), ["resources[0].resource"]),
    "resource that is not canonical": (resource(resource="https://MCP.example.com/mcp"), ["resources[0].resource"]),
    "resource twice": (changed(lambda made: made["resources"].append(made["resources"][0])), ["resources[1]"]),
    "path without a slash": (resource(path="mcp"), ["resources[0].path"]),
    "path that is ambiguous": (resource(path="/a//b"), ["resources[0].path"]),
    "scope with a space": (resource(scopes=["mcp:read mcp:write"]), ["resources[0].scopes"]),
    "scope with a quote": (resource(scopes=['mcp:"read']), ["resources[0].scopes"]),
    "empty scope": (resource(scopes=[""]), ["resources[0].scopes"]),
    "empty hosts": (resource(hosts=[]), ["resources[0].hosts"]),
    "host with a path": (resource(hosts=["a.example/x"]), ["resources[0].hosts"]),
}  # fmt: skip


def listener(wasm: Path, configuration: Json | str) -> Listener:
    return Listener(wasm=wasm, configuration=configuration)


def validate(directory: Path, wasm: Path, configuration: Json | str) -> tuple[int, str]:
    return envoys.validate(directory, listener(wasm, configuration), {"upstream": 9, "auth": 9})


def test_good_configuration_is_valid(wasm: Path, tmp_path: Path) -> None:
    """The others differ from this one by one mistake each."""
    status, output = validate(tmp_path, wasm, GOOD)
    assert status == 0, output


@pytest.mark.parametrize("name", BAD)
def test_bad_configuration(name: str, wasm: Path, tmp_path: Path) -> None:
    configuration, wanted = BAD[name]
    status, output = validate(tmp_path, wasm, configuration)
    assert status != 0, "Envoy took it"
    assert "panicked" not in output
    lines = [line for line in output.splitlines() if "wasm log" in line]
    assert any(all(part in line for part in wanted) for line in lines), output


def test_envoy_does_not_start_with_it(wasm: Path, recorder: Recorder, tmp_path: Path) -> None:
    bad = listener(wasm, BAD["unknown field"][0])
    with pytest.raises(ChildFailed):
        Envoy(tmp_path, {"mcp": bad}, {"upstream": recorder.port})


def test_a_running_envoy_keeps_the_old_one(
    wasm: Path, recorder: Recorder, tmp_path: Path, concurrency: int
) -> None:
    inline = issuer(cluster=None, jwks=JWKS)
    token = tokens.mint(
        defaults={
            "iss": "https://auth.example.com",
            "aud": "https://mcp.example.com/mcp",
            "scope": "mcp:read",
        }
    )
    clusters = {"upstream": recorder.port}
    good = {"mcp": listener(wasm, inline)}
    with Envoy(tmp_path, good, clusters, concurrency=concurrency, dynamic=True) as running:
        assert http1.get(running.port, "/mcp", token).status == 200
        with pytest.raises(envoys.UpdateRejected):
            running.update({"mcp": listener(wasm, BAD["empty issuers"][0])})
        for _ in range(8):
            assert http1.get(running.port, "/mcp", token).status == 200
            assert http1.get(running.port, "/mcp").status == 401
        stricter = json.loads(json.dumps(inline))
        stricter["resources"][0]["scopes"] = ["mcp:admin"]
        running.update({"mcp": listener(wasm, stricter)})
        assert http1.get(running.port, "/mcp", token).status == 403


def test_kill_switch(wasm: Path, recorder: Recorder, tmp_path: Path) -> None:
    """`enabled: false`: everything passes, and no metadata is served."""
    off = {**GOOD, "enabled": False}
    with Envoy(
        tmp_path, {"mcp": listener(wasm, off)}, {"upstream": recorder.port, "auth": 9}
    ) as one:
        for path in ("/mcp", "/.well-known/oauth-protected-resource/mcp"):
            test_id = new_test_id()
            response = http1.get(one.port, path, "kept", [("x-test-id", test_id)])
            assert response.status == 200
            assert recorder.one(test_id).all("authorization") == ["Bearer kept"]
