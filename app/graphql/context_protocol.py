"""What the server shell gives to the domain for each operation, and what it asks back."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from app.auth.sessions import Session
from app.graphql.errors import Json


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends an operation, from where, and under which request id it is logged."""

    session: Session
    address: str
    request_id: str


class RequestContext(Protocol):
    """The value that resolvers find in `info.context`; the domain chooses its class."""

    def extensions(self) -> Mapping[str, Json]:
        """Return what joins the response's `extensions`: `consistency {ledgerSeq, asOf}`.

        Asked once, after the operation ran.
        """


MakeContext: TypeAlias = Callable[[Caller], AbstractContextManager[RequestContext]]
"""Opened before each operation and before **each event** of a subscription, closed after it: a
fresh ledger sequence number, a fresh look at consent, a place to give back a database snapshot. A
subscription's source has one of its own, open as long as the stream: it should hold no snapshot."""
