"""A model that calls the tool which its prompt names, and repeats what came of it.

It speaks as much of three interfaces as coding agents need: Anthropic's messages, OpenAI's responses and chat
completions. What to do is part of the prompt: see `prompt`.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from support.threaded import Threaded

Json = dict[str, Any]
SERVER = "harness"
"""The MCP server's name, which is part of the names that its tools have for a model."""
SAID = "MODEL:"
"""Before everything that it says: its clients say more than that."""


class Model(Threaded):
    def __init__(self) -> None:
        super().__init__(_Handler)


_numbers = itertools.count(1)
_ORDER = re.compile(r"ORDER-([a-z]+)-([\w=-]+)")


def prompt(tool: str, arguments: Mapping[str, object]) -> str:
    """In one word that no shell and no JSON changes. The tool `list` is the model's own."""
    return f"ORDER-{tool}-{base64.urlsafe_b64encode(json.dumps(arguments).encode()).decode()}"


def said_by(output: str) -> str:
    """What the model said last, of all that a client printed."""
    return output.rpartition(SAID)[2].strip()


class _Turn:
    """One answer: a text, or a call."""

    def __init__(self, prompts: list[str], tools: list[str], result: str | None) -> None:
        orders = _ORDER.findall("\n".join(prompts))
        self.text, self.tool, self.arguments = "", None, {}
        self.identity = f"call_{next(_numbers)}"
        if not orders:
            self.text = "a title"
            return
        wanted, given = orders[-1]
        named = [one for one in tools if re.search(rf"{SERVER}.*_{wanted}$", one)]
        if result is not None:
            self.text = f"{SAID} {result}"
        elif wanted == "list":
            self.text = f"{SAID} {json.dumps(tools)}"
        elif named:
            self.tool, self.arguments = named[0], json.loads(base64.urlsafe_b64decode(given))
        else:
            self.text = f"{SAID} there is no tool {wanted}; there are {' '.join(tools)}"


def _texts(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_texts(one) for one in content)
    if isinstance(content, dict):
        return _texts(content.get("text") or content.get("content") or content.get("output") or "")
    return ""


def _messages(asked: Json) -> Iterator[Json]:
    """Anthropic's."""
    last = asked["messages"][-1]["content"]
    results = [one for one in last if isinstance(one, dict) and one.get("type") == "tool_result"] if isinstance(last, list) else []
    prompts = [_texts(one["content"]) for one in asked["messages"] if one["role"] == "user"]
    turn = _Turn(prompts, [one["name"] for one in asked.get("tools", [])], _texts(results[-1]) if results else None)
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": f"msg_{turn.identity}", "type": "message", "role": "assistant", "model": asked["model"], "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": message}
    if turn.tool:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": turn.identity, "name": turn.tool, "input": {}}}
        delta: Json = {"type": "input_json_delta", "partial_json": json.dumps(turn.arguments)}
    else:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        delta = {"type": "text_delta", "text": turn.text}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use" if turn.tool else "end_turn", "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def _responses(asked: Json) -> Iterator[Json]:
    """OpenAI's, as Codex uses it."""
    items = asked["input"] if isinstance(asked["input"], list) else [{"role": "user", "content": asked["input"]}]
    prompts = [_texts(one.get("content")) for one in items if one.get("role") == "user"]
    result = _texts(items[-1].get("output")) if str(items[-1].get("type")).endswith("_output") else None
    names, spaces = [], {}
    for tool in asked.get("tools", []):
        for inner in tool.get("tools", []):  # a namespace
            names.append(f"{tool['name']}__{inner['name']}")
            spaces[names[-1]] = (tool["name"], inner["name"])
        if tool.get("type") == "function":
            names.append(tool["name"])
    turn = _Turn(prompts, names, result)
    response = {"id": f"resp_{turn.identity}", "object": "response", "status": "in_progress", "model": asked["model"], "output": []}
    yield {"type": "response.created", "response": response}
    if turn.tool:
        item: Json = {"type": "function_call", "id": f"fc_{turn.identity}", "call_id": turn.identity, "name": turn.tool, "arguments": json.dumps(turn.arguments), "status": "completed"}
        if turn.tool in spaces:
            item["namespace"], item["name"] = spaces[turn.tool]
    else:
        item = {"type": "message", "id": f"msg_{turn.identity}", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": turn.text, "annotations": []}]}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    yield {"type": "response.completed", "response": {**response, "status": "completed", "output": [item], "usage": usage}}


def _completions(asked: Json) -> Iterator[Json]:
    """OpenAI's older interface."""
    messages = asked["messages"]
    prompts = [_texts(one["content"]) for one in messages if one["role"] == "user"]
    result = _texts(messages[-1]["content"]) if messages[-1]["role"] == "tool" else None
    turn = _Turn(prompts, [one["function"]["name"] for one in asked.get("tools", [])], result)
    chunk = {"id": turn.identity, "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}
    if turn.tool:
        call = {"index": 0, "id": turn.identity, "type": "function", "function": {"name": turn.tool, "arguments": json.dumps(turn.arguments)}}
        delta: Json = {"role": "assistant", "tool_calls": [call]}
    else:
        delta = {"role": "assistant", "content": turn.text}
    yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    ended = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if turn.tool else "stop"}
    yield {**chunk, "choices": [ended], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


_INTERFACES = {"messages": _messages, "responses": _responses, "completions": _completions}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": [], "models": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = _INTERFACES.get(self.path.partition("?")[0].rpartition("/")[2])
        if answer is None:
            self._reply({"input_tokens": 1})
            return
        asked = json.loads(body)
        events = list(answer(asked))
        if answer is _messages and not asked.get("stream"):
            self._reply(_whole_message(events))
            return
        lines = []
        for event in events:
            if "type" in event:
                lines.append(f"event: {event['type']}\n")
            lines.append(f"data: {json.dumps(event)}\n\n")
        if answer is _completions:
            lines.append("data: [DONE]\n\n")
        self._send("text/event-stream", "".join(lines))

    def _reply(self, body: Json) -> None:
        self._send("application/json", json.dumps(body))

    def _send(self, kind: str, text: str) -> None:
        sent = text.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


def _whole_message(events: list[Json]) -> Json:
    """What a client gets that wants no stream; such ones are never given tools."""
    message = events[0]["message"]
    [text] = [one["delta"].get("text", "") for one in events if one["type"] == "content_block_delta"]
    return {**message, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
