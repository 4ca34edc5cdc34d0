"""The servers that the manifests speak of, under the names and ports that they have there: see `world`."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from support import certificates, http1, paths, tokens, volley
from support.authorization import AuthorizationServer
from support.key_server import KeyServer
from support.loop_server import LoopServer
from support.mcp_server import McpServer
from support.ports import reusable_socket
from support.recorder import Recorder

# What makes the release's image; it stands beside what it imports itself.
sys.path.append(str(paths.REPOSITORY / "scripts"))
package_oci = importlib.import_module("package_oci")

HOST = "mcp.example.com"
ISSUER = "https://auth.example.com"
RESOURCE = f"https://{HOST}/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
MODULE_PATH = "/mcp_auth_filter-0.1.0.wasm"
NEW_MODULE_PATH, COPY_PATH = "/mcp_auth_filter-0.2.0.wasm", "/copy.wasm"

IMAGE_NAME, IMAGE_TAG = "mcp_auth_filter", "0.1.0"

# A gateway listens at all addresses on 443, too; the more specific one goes first.
UPSTREAM, AUTHORIZATION_SERVER, ARTIFACTS = ("192.0.2.3", 3000), ("127.0.0.2", 443), ("127.0.0.3", 443)  # fmt: skip


class Switch(LoopServer):
    """Passes connections on to the server that is behind it at that time; with `tls`, what is in them."""

    def __init__(
        self, address: tuple[str, int], target: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        listening = reusable_socket()
        listening.bind(address)
        super().__init__(listening, tls)

    def turn_to(self, target: int) -> None:
        """What is connected to the one before is cut off."""
        done = threading.Event()

        def turn() -> None:
            self._target = target
            for one in self._open:
                one.transport.abort()
            done.set()

        self._loop.call_soon_threadsafe(turn)
        done.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._open.add(back)
            try:
                await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
            finally:
                self._open.discard(back)
                back.close()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


class Artifacts(ThreadingHTTPServer):
    """Has modules, by TLS, at the paths of `content`, and is a registry with the image that a release has."""

    allow_reuse_port = True

    def __init__(self, certificate: Path, content: dict[str, bytes]) -> None:
        layout, self.image_digest = package_oci.image(content[MODULE_PATH], IMAGE_TAG)
        blobs = {
            name.removeprefix("blobs/").replace("/", ":"): blob
            for name, blob in layout.files.items()
            if name.startswith("blobs/")
        }
        repository = f"/v2/{IMAGE_NAME}"
        manifest = blobs[self.image_digest]
        self.manifests = {f"{repository}/manifests/{one}" for one in (IMAGE_TAG, self.image_digest)}
        self.content = {
            **content,
            "/v2/": b"{}",
            **{f"{repository}/blobs/{digest}": blob for digest, blob in blobs.items()},
            **dict.fromkeys(self.manifests, manifest),
        }
        self.asked: list[str] = []
        super().__init__(ARTIFACTS, _ArtifactsHandler)
        self.socket = certificates.server_context(certificate).wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _ArtifactsHandler(BaseHTTPRequestHandler):
    server: Artifacts

    def do_GET(self) -> None:
        self.wfile.write(self._head())

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes:
        self.server.asked.append(self.path)
        content = self.server.content.get(self.path)
        self.send_response(200 if content else 404)
        if self.path in self.server.manifests:
            self.send_header("content-type", package_oci.MANIFEST)
            self.send_header("docker-content-digest", self.server.image_digest)
        self.send_header("content-length", str(len(content or b"")))
        self.end_headers()
        return content or b""

    def log_message(self, *_: object) -> None:
        pass


class Stage:
    """All of them. The MCP server is a recorder, or a real one (`mcp_server`)."""

    def __init__(self, directory: Path, module: Path) -> None:
        self.directory = directory
        self.sha256 = hashlib.sha256(module.read_bytes()).hexdigest()
        self.certificate = certificates.self_signed(directory, HOST)
        self.authorization_certificate = certificates.self_signed(directory, "auth.example.com", "auth")
        self._other = certificates.self_signed(directory, "other.example.com", "other")
        artifacts = certificates.self_signed(directory, "artifacts.example.com", "artifacts")
        trusted = [self.authorization_certificate, self._other, artifacts]
        (Path(os.environ["WORLD"]) / "ca-certificates.crt").write_text(
            "".join(one.read_text() for one in trusted)
        )
        with ExitStack() as stack:
            self.recorder = stack.enter_context(Recorder())
            self.mcp_server = stack.enter_context(McpServer(directory, HOST))
            self.upstream = stack.enter_context(Switch(UPSTREAM, self.recorder.port))
            self.keys = stack.enter_context(self._key_server(self.authorization_certificate, "rsa-1"))
            self.other_keys = stack.enter_context(self._key_server(self._other, "rsa-1"))
            """With a certificate that is trusted, but for another host."""
            self.authorization_server = stack.enter_context(
                Switch(AUTHORIZATION_SERVER, self.keys.port)
            )
            old, new = module.read_bytes(), module.read_bytes() + _CUSTOM_SECTION
            self.new_sha256 = hashlib.sha256(new).hexdigest()
            content = {MODULE_PATH: old, COPY_PATH: old, NEW_MODULE_PATH: new}
            self.artifacts = stack.enter_context(Artifacts(artifacts, content))
            self._stack = stack.pop_all()

    @contextmanager
    def login(self, *clients: dict[str, Any]) -> Iterator[None]:
        """A real authorization server is where the key server was, while it lasts."""
        tls = certificates.server_context(self.authorization_certificate)
        with (
            AuthorizationServer(
                self.directory, resources=[RESOURCE], issuer=ISSUER, clients=clients
            ) as server,
            Switch(("127.0.0.1", 0), server.port, tls) as front,
        ):
            self.authorization_server.turn_to(front.port)
            try:
                yield
            finally:
                self.authorization_server.turn_to(self.keys.port)

    @staticmethod
    def _key_server(certificate: Path, key: str) -> KeyServer:
        return KeyServer(
            [tokens.public_jwk(key)],
            issuer=ISSUER,
            jwks_uri=f"{ISSUER}/keys",
            tls=certificates.server_context(certificate),
        )

    @staticmethod
    def token(scope: str = "mcp", **recipe: Any) -> str:
        """A good one, where the recipe says nothing else."""
        payload = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope}
        return tokens.mint(recipe, payload)

    def bearer(self, scope: str = "mcp", key: str = "rsa-1") -> http1.Headers:
        return [("authorization", f"Bearer {self.token(scope, key=key)}")]

    @property
    def tls(self) -> ssl.SSLContext:
        """For a client of the gateway."""
        return ssl.create_default_context(cafile=str(self.certificate))

    @property
    def connect(self) -> volley.Connect:
        return volley.tls(443, self.tls, HOST)

    def request(self, method: str, path: str, headers: http1.Headers = ()) -> http1.Response:
        """At the gateway."""
        with self.connect() as connection:
            connection.sendall(http1.encode(method, path, headers, host=HOST))
            return http1.read_response(connection, method)

    def status(self, path: str = "/mcp", headers: http1.Headers = ()) -> int:
        """0: nobody answers."""
        try:
            return self.request("GET", path, headers).status
        except (OSError, EOFError):
            return 0

    def listens(self) -> bool:
        """At the gateway's port."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", 443), timeout=5):
            return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


# Makes another module of one, which does the same.
_CUSTOM_SECTION = b"\0\x05\x04next"
