"""A golden journal: a flow of the catalogue as it was once answered, where that led, and its replay."""

import hashlib
from pathlib import Path

import msgspec

from flows.execution import Execution
from flows.journal import operation_hash
from flows.registry import Registry
from flows.runner import DETAIL_CHARACTERS_MAX
from flows.store import FlowRow, JournalRow, Status
from states.encoding import encode
from states.identity import Party

REAL = Path(__file__).parents[1] / "vectors" / "journals" / "real"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer; bytes are hexadecimal here and below."""

    kind: int
    hash: str
    value: str


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a flow is after its last answer: what it `ends` with, `raises` or `awaits`.

    `sent` is the digest of what it sent since that answer.
    """

    how: str
    what: str
    sent: str


class GoldenJournal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A flow that has ended, everything that it was answered, and the place to which that led."""

    me: str
    flow: str
    tag: str
    arguments: str
    created: int
    peer: str
    session: str
    entries: tuple[Entry, ...]
    status: int
    result: str
    why: str
    place: Place

    @property
    def rows(self) -> list[JournalRow]:
        flow = bytes.fromhex(self.flow)
        return [
            JournalRow(flow, seq, each.kind, bytes.fromhex(each.hash), bytes.fromhex(each.value))
            for seq, each in enumerate(self.entries)
        ]

    def row(self, status: Status, *, torn: bool) -> FlowRow:
        """Return the flow as it lay in its node's database before it ended."""
        flow, session = bytes.fromhex(self.flow), bytes.fromhex(self.session)
        return FlowRow(
            flow, self.tag, bytes.fromhex(self.arguments), status, int(torn), 0, 0, self.created,
            None, self.peer, session, b"", "",
        )  # fmt: skip


def golden(me: Party, row: FlowRow, rows: list[JournalRow], registry: Registry) -> GoldenJournal:
    """Return what is kept of a flow that has ended. Its place is found by a replay, and must fit how it ended."""
    place = replayed(row, rows, registry, me)
    if place.how != "awaits":  # else the handler of what it awaits refused, which no journal holds
        said = row.why if row.status == Status.FAILED else row.result.hex()
        assert place.what == said, f"{row.tag} ended otherwise than its replay"
    return GoldenJournal(
        me=me,
        flow=row.id.hex(),
        tag=row.tag,
        arguments=row.args.hex(),
        created=row.created,
        peer=row.peer,
        session=row.session.hex(),
        entries=tuple(Entry(each.kind, each.hash.hex(), each.value.hex()) for each in rows),
        status=row.status,
        result=row.result.hex(),
        why=row.why,
        place=place,
    )


def replayed(row: FlowRow, rows: list[JournalRow], registry: Registry, me: Party) -> Place:
    """Replay all answers in a fresh coroutine, give the last one for real, and return where that led.

    Raises JournalMismatch.
    """
    run = Execution(row, registry, me)
    try:
        answer = run.replay(rows)
        assert run.context.posts == [], "a replay sends nothing"
        run.context.muted = False
        return _go_on(run, answer)
    finally:
        run.close()


def _go_on(run: Execution, answer: object) -> Place:
    try:
        ended = run.step(answer)
    except Exception as error:  # noqa: BLE001 - whatever it raises is where it came to
        how, what = "raises", f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS_MAX]
    else:
        if ended is not None:
            how, what = "ends", encode(ended.result).hex()
        else:
            assert run.operation is not None
            how, what = "awaits", operation_hash(run.operation, run._sent).hex()
    said = [encode((p.peer, p.kind, p.session, p.seq, p.body, p.parts)) for p in run.context.posts]
    sent = hashlib.sha256(b"".join(said)).hexdigest()[:16]
    return Place(how, what, sent)


def file_of(tag: str) -> Path:
    """Return where the journals of a flow or responder lie."""
    return REAL / f"{tag.replace('/', '-')}.json"


def read(path: Path) -> tuple[GoldenJournal, ...]:
    return msgspec.json.decode(path.read_bytes(), type=tuple[GoldenJournal, ...])


def tags(registry: Registry) -> set[str]:
    """Return the names of all flows and responders of a registry."""
    return {*registry._flows, *registry._responders}
