"""Kubernetes objects, and who translates them for the gateway."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Self

from stage import Stage
from support import http1, tokens
from support.processes import Child
from support.waiting import until

Json = dict[str, Any]

# On a busy machine of two cores, with everything cold.
PATIENCE = 300.0
SOON = 45.0
INTERVAL = 0.2


class Objects:
    """By kind and name, which is enough here: `EnvoyFilter/mcp-auth`."""

    def __init__(self, objects: Iterable[Json] = ()) -> None:
        self._by_name: dict[str, Json] = {}
        for one in objects:
            self.put(one)

    def put(self, one: Json) -> None:
        key = f"{one['kind']}/{one['metadata']['name']}"
        assert key not in self._by_name, key
        self._by_name[key] = one

    def remove(self, key: str) -> None:
        del self._by_name[key]

    def __getitem__(self, key: str) -> Json:
        return self._by_name[key]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._by_name.values())

    def copy(self) -> Self:
        return copy.deepcopy(self)


class ControlPlane(ABC):
    """A control plane with an Envoy, on a stage.

    `objects` is what is shipped, but for the module's SHA-256 and what a cluster has besides.
    """

    filter: str
    """The key of the object that has the filter."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        # The tests of another control plane may have left a second one.
        stage.keys.keys = [tokens.public_jwk("rsa-1")]
        self.objects = self.shipped()

    @abstractmethod
    def shipped(self) -> Objects: ...

    def apply(self, objects: Objects) -> None:
        """These are there from now on, and no others."""
        self._applied = objects.copy()
        self._apply(objects)

    @abstractmethod
    def _apply(self, objects: Objects) -> None: ...

    def _change(self, objects: Objects) -> bool:
        """Changes what makes no difference, where a change may get lost on its way to Envoy; False: nowhere."""
        return False

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def close(self) -> None:
        """Ends the control plane, and the Envoy with it."""
        self.stop()

    @abstractmethod
    def children(self) -> list[Child]:
        """None of them may end while something is waited for."""

    @abstractmethod
    def log(self) -> str: ...

    @abstractmethod
    def set_module(self, objects: Objects, **fields: str) -> None:
        """`url` or `sha256`."""

    @abstractmethod
    def set_image(self, objects: Objects, digest: str) -> None:
        """The registry's, with this SHA-256."""

    @abstractmethod
    def configure(self, objects: Objects, change: Callable[[Json], None]) -> None:
        """Changes the filter's configuration."""

    def serves(self) -> None:
        """The shipped objects are there, and so is the filter."""
        self.apply(self.objects)
        self.wait_for(200, self.stage.bearer())
        self.wait_for(401)

    def wait_for(self, status: int, headers: http1.Headers = (), path: str = "/mcp") -> None:
        self.until(lambda: self.stage.status(path, headers) == status, f"{status} of {path}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            for child in self.children():
                child.check()
            return condition()

        try:
            until(holds, what, timeout=SOON, interval=INTERVAL)
            return
        except TimeoutError:
            if self._change(self._applied):
                print(f"changed again, for {what} was not there after {SOON:g} s")
                self._apply(self._applied)
        try:
            until(holds, what, timeout=PATIENCE, interval=INTERVAL)
        except TimeoutError as error:
            last = "\n".join(self.log().splitlines()[-40:])
            raise AssertionError(f"{error}; {last}") from None


def in_json(text: str, change: Callable[[Json], None]) -> str:
    value = json.loads(text)
    change(value)
    return json.dumps(value)
