"""What resolvers have: the node's services, and for each request its viewer and its ledger moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, Self, TypeAlias

import strawberry

from app.assembly import Assembly
from app.auth.sessions import Role, Session
from app.gate import Lacking, Opened, Refused
from app.graphql.context_protocol import Caller, MakeContext
from app.graphql.cursors import Cursors
from app.graphql.errors import Json
from app.graphql.limits import ServiceLimits
from app.graphql.scalars import show_datetime
from app.graphql.schema.broadcast import Broadcast
from app.graphql.schema.identifiers import GlobalIds
from app.graphql.schema.moment import Moment, Snapshots
from app.graphql.schema.policy import Viewer
from app.graphql.schema.requests import Requests
from app.intake import Intake
from app.readings.bundles import BundleWriter
from states.identity import Party
from states.parameters import Member
from states.state import StateRef, TransactionId
from states.subjects.codes import Purpose


class Members(Protocol):
    """The network's members of now, as the map has them."""

    def members(self) -> Sequence[Member]: ...

    def known(self, party: Party) -> Member | None: ...


class ContentGate(Protocol):
    """The way to content (app.gate): it decides, keeps the reading durably, and only then opens."""

    def read_record(
        self, session: Session, tx: TransactionId, item: int, purpose: Purpose
    ) -> Opened | Refused: ...

    def read_own(self, session: Session, ref: StateRef, purpose: Purpose) -> Opened | Refused: ...

    def lacking(self, session: Session, ref: StateRef) -> Lacking | None: ...

    def read_hers(self, session: Session, ref: StateRef, purpose: Purpose) -> Opened | Refused: ...

    def refuse_request(
        self, session: Session, consent: StateRef | None, purpose: Purpose
    ) -> Refused: ...


@dataclass(frozen=True, slots=True)
class Api:
    """The services of one node; made once."""

    assembly: Assembly
    directory: Members
    snapshots: Snapshots
    ids: GlobalIds
    cursors: Cursors
    limits: ServiceLimits
    broadcast: Broadcast
    requests: Requests
    wake: Callable[[], None]
    gate: ContentGate
    intake: Intake
    bundles: BundleWriter | None = None

    def member(self, party: str) -> Member | None:
        return self.directory.known(Party(party))

    def viewer(self, caller: Caller) -> Viewer:
        """Return how the policy sees the caller: a practitioner's role is the directory's, of now."""
        me, session = self.assembly.me, caller.session
        mine = self.member(me)
        at_agent = mine is not None and mine.kind == "agent"
        role = ""
        if session.role is Role.CLINICIAN:
            person = Viewer.of(session, me, "", at_agent=at_agent).person_bytes
            known = self.assembly.enrolments.practitioner(self.assembly.db, person)
            role = known.role if known is not None else ""
        return Viewer.of(session, me, role, at_agent=at_agent)


class ApiContext:
    """One request's. Its moment is opened when the first row is read, and given back at the end of the block."""

    def __init__(self, api: Api, caller: Caller) -> None:
        self.api = api
        self.caller = caller
        self.viewer = api.viewer(caller)
        self._moment: Moment | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._moment is not None:
            self._moment.close()
            self._moment = None

    @property
    def moment(self) -> Moment:
        if self._moment is None:
            self._moment = self.api.snapshots.open()
        return self._moment

    def renew(self) -> None:
        """After a write: read what is true now."""
        if self._moment is not None:
            self._moment.renew()

    def party(self, did: str) -> Member | None:
        return self.api.member(did)

    def extensions(self) -> Mapping[str, Json]:
        """Say which ledger moment was read, and when that was."""
        moment = self.moment
        return {
            "consistency": {"ledgerSeq": moment.seq, "asOf": show_datetime(instant(moment.now))},
        }


Info: TypeAlias = strawberry.Info[ApiContext, None]


def make_context(api: Api) -> MakeContext:
    """Return what `build_app` opens for each request and each event."""
    return partial(ApiContext, api)


def instant(ms: int) -> datetime:
    """Return a moment of the ledger (ms since 1970 UTC)."""
    seconds, rest = divmod(ms, 1_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1_000)


def millis(moment: datetime) -> int:
    """Return ms since 1970 UTC; what is finer is dropped."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


__all__ = [
    "Api",
    "ApiContext",
    "ContentGate",
    "Info",
    "Party",
    "instant",
    "make_context",
    "millis",
]
