"""Coding agents, each call a prompt to its command line, with a model on loopback that only calls tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from support.clients import ClientFailed

from .model import SAID, SERVER, Model, prompt, said_by
from .place import Place
from .programs import npm_folder, npm_version, run


class _Agent:
    token_seconds = 25
    quick = False
    scopes_at_login: str | None = None
    login: str

    def __init__(self, place: Place, title: str) -> None:
        self.title = title
        self._place = place
        self._model = Model()
        self._configure()

    def _configure(self) -> None:
        raise NotImplementedError

    def _ask(self, order: str) -> str:
        """All that the agent prints for a prompt."""
        raise NotImplementedError

    def log_in(self) -> None:
        raise NotImplementedError

    def tools(self) -> set[str]:
        names = json.loads(self._answer("list", {}))
        return {one.rpartition("_")[2] for one in names if SERVER in one}

    def call(self, tool: str, **arguments: object) -> str:
        said = self._answer(tool, arguments)
        if not _came_from(tool, said):
            raise ClientFailed(said)
        return said

    def log_in_again(self) -> None:
        self.log_in()

    def stop(self) -> None:
        self._model.__exit__()

    def _answer(self, tool: str, arguments: Mapping[str, object]) -> str:
        said = self._ask(prompt(tool, arguments))
        if SAID not in said:
            raise ClientFailed(said)
        return said_by(said)


def _came_from(tool: str, said: str) -> bool:
    """Whether this is the tool's own result: to an agent a failure is a text like any other."""
    mark = {"echo": "hello", "whoami": "x-mcp-issuer", "count": "counted to"}.get(tool)
    return mark is not None and mark in said


class OpenCode(_Agent):
    login = "`opencode mcp auth`"
    _PROGRAM = npm_folder("opencode", "opencode-linux-x64") / "bin" / "opencode"

    def __init__(self, place: Place) -> None:
        super().__init__(place, f"opencode {npm_version('opencode', 'opencode-linux-x64')}")

    def _configure(self) -> None:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{self._model.origin}/v1", "apiKey": "none"},
            "models": {"tester": {}},
        }
        configuration = {
            "autoupdate": False,
            "model": "loopback/tester",
            "small_model": "loopback/tester",
            "provider": {"loopback": provider},
            "mcp": {SERVER: {"type": "remote", "url": self._place.url}},
            "permission": {"*": "allow"},
        }
        (self._place.work / "opencode.json").write_text(json.dumps(configuration))

    def log_in(self) -> None:
        said = self._run("mcp", "auth", SERVER)
        if "successful" not in said:
            raise ClientFailed(said)

    def log_in_again(self) -> None:
        # It would ask whether to do so.
        self._run("mcp", "logout", SERVER)
        self.log_in()

    def _ask(self, order: str) -> str:
        return self._run("run", order)

    def _run(self, *arguments: str) -> str:
        variables = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
        environment = {f"OPENCODE_DISABLE_{one}": "1" for one in variables}
        return run(self._place, [self._PROGRAM, *arguments], environment=environment)


class Codex(_Agent):
    login = "`codex mcp login`"
    # It asks for the scope whenever it refreshes, and here that is not granted: note 1 of docs/clients.md.
    AUTHORIZATION: Mapping[str, object] = {"offlineAccess": False}
    _PROGRAM = (
        npm_folder("codex", "@openai/codex-linux-x64")
        / "vendor" / "x86_64-unknown-linux-musl" / "bin" / "codex"
    )  # fmt: skip

    def __init__(self, place: Place) -> None:
        version = npm_version("codex", "@openai/codex-linux-x64").partition("-")[0]
        super().__init__(place, f"Codex {version}")

    def _configure(self) -> None:
        folder = self._place.directory / "home" / ".codex"
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(f"""
model = "tester"
model_provider = "loopback"
approval_policy = "never"
sandbox_mode = "danger-full-access"
mcp_oauth_credentials_store = "file"
check_for_update_on_startup = false

[model_providers.loopback]
name = "loopback"
base_url = "{self._model.origin}/v1"
wire_api = "responses"

[mcp_servers.{SERVER}]
url = "{self._place.url}"
""")

    scopes_at_login = "`--scopes`"

    def log_in(self) -> None:
        self._run("mcp", "login", SERVER)

    def log_in_for(self, *scopes: str) -> None:
        self._run("mcp", "login", SERVER, "--scopes", ",".join(scopes))

    def _ask(self, order: str) -> str:
        return self._run("exec", "--skip-git-repo-check", order)

    def _run(self, *arguments: str | Path) -> str:
        return run(self._place, [self._PROGRAM, *arguments])


class ClaudeCode(_Agent):
    login = "`claude mcp login`"
    _PROGRAM = npm_folder("claude-code", "@anthropic-ai/claude-code-linux-x64") / "claude"

    def __init__(self, place: Place) -> None:
        version = npm_version("claude-code", "@anthropic-ai/claude-code-linux-x64")
        super().__init__(place, f"Claude Code {version}")

    def _configure(self) -> None:
        self._run("mcp", "add", "--transport", "http", SERVER, self._place.url)

    def log_in(self) -> None:
        self._run("mcp", "login", SERVER, terminal=True)

    def _ask(self, order: str) -> str:
        return self._run("--print", "--allowedTools", f"mcp__{SERVER}", "--", order)

    def _run(self, *arguments: str, terminal: bool = False) -> str:
        environment = {
            "ANTHROPIC_BASE_URL": self._model.origin,
            "ANTHROPIC_API_KEY": "none",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ENABLE_TOOL_SEARCH": "false",
        }
        command = [self._PROGRAM, *arguments]
        return run(self._place, command, environment=environment, terminal=terminal)
