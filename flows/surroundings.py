"""What a node gives to its engine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from flows.registry import Registry
from flows.step import Handlers
from flows.store import FlowStore
from states.identity import Party

U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Surroundings(Generic[U]):
    """What the node gives to the engine; see `flows.engine.Engine`."""

    store: FlowStore[U]
    registry: Registry
    handlers: Handlers[U]
    me: Party
    entropy: Callable[[int], bytes]
    read_part: Callable[[bytes], bytes | None]
    transient: tuple[type[Exception], ...]
    double_run: bool
