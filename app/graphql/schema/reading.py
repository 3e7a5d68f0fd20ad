"""Who looked: a patient's list at her agent, and an organisation's own reading log."""

from datetime import datetime
from enum import StrEnum

import strawberry
from sqlalchemy import and_, bindparam, select

from app.graphql.connections import Connection
from app.graphql.cursors import PageArguments, SortKey
from app.graphql.enums import documented
from app.graphql.scalars import Base64, Digest, UInt53
from app.graphql.schema.codes import Category
from app.graphql.schema.context import ApiContext, Info, instant
from app.graphql.schema.disclosure import Disclosure, Reader, find_disclosure
from app.graphql.schema.listing import After, Before, First, Last, Listing, find, page
from app.graphql.schema.moment import Cell, Row, content_of, sql
from app.graphql.schema.node import Node
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.policy import Reach, Subject
from app.readings.alarm_statements import seen_by
from app.readings.alarms import Alarm
from app.readings.bundles import Line, NothingToProve
from app.readings.chains import Mark
from app.readings.tables import (
    LookAlarmRow,
    LookItemRow,
    LookRow,
    ReadingRow,
)
from app.storage.statements import table_of
from states.encoding import encode
from states.identity import Party as PartyName
from states.reading import READING, ReadingEntry, ReportedReading

LOOK_KIND = "look"
READING_KIND = "reading"
ALARM_KIND = "alarm"

_L, _LI, _A, _R = (
    table_of(LookRow),
    table_of(LookItemRow),
    table_of(LookAlarmRow),
    table_of(ReadingRow),
)
LOOKS = Listing(
    name="who looked",
    subject=Subject.LOOK,
    source=_L,
    columns=(
        _L.c.organisation,
        _L.c.chain,
        _L.c.number,
        _L.c.at,
        _L.c.disclosure,
        _L.c.body,
        _L.c.salt,
        _L.c.proof,
        _L.c.digest,
        _L.c.mark,
    ),
    key=(_L.c.organisation, _L.c.chain, _L.c.number, _L.c.digest),
    order=(_L.c.at, _L.c.organisation, _L.c.chain, _L.c.number, _L.c.digest),
    visible={Reach.OWN: _L.c.patient == bindparam("viewer_person")},
)
ALARMS = Listing(
    name="alarms",
    subject=Subject.LOOK,
    source=_A,
    columns=(
        _A.c.number,
        _A.c.at,
        _A.c.organisation,
        _A.c.kind,
        _A.c.words,
        _A.c.settled_at,
        _A.c.first,
        _A.c.last,
    ),
    key=(_A.c.number,),
    order=(_A.c.number,),
    visible={Reach.OWN: seen_by(bindparam("viewer_person"))},
)
READINGS = Listing(
    name="reading log",
    subject=Subject.READING,
    source=_R,
    columns=(_R.c.idx, _R.c.body, _R.c.at, _R.c.why),
    key=(_R.c.idx,),
    order=(_R.c.idx,),
    visible={Reach.EVERYTHING: None},
    at=and_(_R.c.body.is_not(None)),
)
_ITEMS_OF = sql(
    select(_LI.c.commitment, _LI.c.content)
    .where(
        _LI.c.organisation == bindparam("organisation"),
        _LI.c.chain == bindparam("chain"),
        _LI.c.number == bindparam("number"),
        _LI.c.digest == bindparam("digest"),
    )
    .order_by(_LI.c.item)
)


@documented(
    "How a look ended.",
    {
        "READ": "The content was opened.",
        "REFUSED": "Somebody asked, and got nothing.",
        "RELEASED": "The custodian gave the keys to the recipient.",
        "NOT_RELEASED": "The custodian disclosed and then did not give the keys.",
        "WITHDRAWN": "It was taken back: it may not be read any more.",
    },
)
class LookOutcome(StrEnum):
    """As the organisation's log has it."""

    READ = "read"
    REFUSED = "refused"
    RELEASED = "released"
    NOT_RELEASED = "not-released"
    WITHDRAWN = "withdrawn"


@documented("What is to be known of a line.", {mark.name: mark.value for mark in Mark})
class LookMark(StrEnum):
    """Of either, the agent keeps the line as it was reported."""

    CONTRADICTED = Mark.CONTRADICTED.name
    LOST = Mark.LOST.name


@strawberry.type(description="What was looked at.")
class LookedAt:
    """Null members where the agent knows no such record."""

    commitment: Digest | None = strawberry.field(description="The record's commitment.")
    kind: str | None = strawberry.field(description="FHIR resource type.")
    category: Category | None = strawberry.field(description="What kind of record it is.")
    day: str | None = strawberry.field(
        description="Day of care, as YYYY-MM-DD; null where none is known."
    )


def _items(root: "Look", info: Info) -> list[LookedAt]:
    rows = info.context.moment.rows(_ITEMS_OF, dict(root.place._asdict()))
    return [_looked_at(commitment, content) for commitment, content in rows]


def _looked_at(commitment: Cell, content: Cell) -> LookedAt:
    said = None if content is None else content_of(content)
    return LookedAt(
        commitment=Digest(commitment) if isinstance(commitment, bytes) else None,
        kind=None if said is None else said.kind,
        category=None if said is None else Category(said.category),
        day=None if said is None else said.day,
    )


def _disclosure_of_look(root: "Look", info: Info) -> Disclosure | None:
    return _disclosure(info, root.made)


def _disclosure(info: Info, tx: Cell) -> Disclosure | None:
    return find_disclosure(info.context, (tx,)) if isinstance(tx, bytes) else None


def _bundle(root: "Look", info: Info) -> Base64 | None:
    context = info.context
    bundles = context.api.bundles
    if bundles is None:
        return None
    try:
        proof = bundles.of_look(context.api.assembly.db, root.place)
    except NothingToProve:
        return None  # its evidence was erased
    return Base64(proof)


@strawberry.type(description="One line of 'who looked', with the evidence for it.")
class Look(Node):
    """Reported by the organisation, signed by its reading log, numbered without gaps."""

    place: strawberry.Private[Line]
    made: strawberry.Private[Cell]
    organisation: Party = strawberry.field(description="Where somebody looked.")
    number: UInt53 = strawberry.field(description="Its number in the organisation's chain.")
    at: datetime = strawberry.field(description="When, by the organisation's clock.")
    reader: Reader = strawberry.field(description="Who, in which role, for what purpose.")
    by_person: bool = strawberry.field(description="False where a system read by itself.")
    emergency: bool = strawberry.field(description="Whether an emergency was declared.")
    outcome: LookOutcome = strawberry.field(description="How it ended.")
    mark: LookMark | None = strawberry.field(
        description="Null for a line that stands as the others do."
    )
    evidence: Base64 = strawberry.field(
        description="Entry, salt and proof (reported/1): it verifies offline."
    )
    bundle: Base64 | None = strawberry.field(
        resolver=_bundle,
        description="All that proves it to anybody, offline: `carecord verify` takes it.",
        metadata={"cost": 10},
    )
    items: list[LookedAt] = strawberry.field(
        resolver=_items, description="Which records, as far as the agent knows them."
    )
    disclosure: Disclosure | None = strawberry.field(
        resolver=_disclosure_of_look, description="What had opened them; null for own readings."
    )


def _reader(entry: ReadingEntry) -> Reader:
    return Reader(
        person=entry.person.hex(),
        shown_as=entry.shown_as,
        role=entry.role,
        purpose=entry.purpose,
    )


def look_of(context: ApiContext, row: Row) -> Look:
    organisation, chain, number, at, made, body, salt, proof, digest, mark = row
    assert isinstance(chain, bytes), "a primary key"
    assert isinstance(digest, bytes), "a primary key"
    assert isinstance(body, bytes), "an entry is encoded"
    assert isinstance(salt, bytes), "a column of bytes"
    entry = READING.decode(body)
    place = Line(PartyName(str(organisation)), chain, int(number or 0), digest)
    return Look(
        id=context.api.ids.seal(LOOK_KIND, *place),
        place=place,
        made=made,
        organisation=party_of(context, str(organisation)),
        number=UInt53(int(number or 0)),
        at=instant(int(at or 0)),
        reader=_reader(entry),
        by_person=entry.by == "person",
        emergency=entry.emergency,
        outcome=LookOutcome(entry.outcome),
        mark=None if mark is None else LookMark(str(mark)),
        evidence=Base64(encode(ReportedReading(body, salt, str(proof)))),
    )


@strawberry.type(description="What does not fit in what an organisation reported.")
class LookAlarm(Node):
    """Kept with its evidence; settled where what was missing came later."""

    organisation: Party = strawberry.field(description="Whose reports do not fit.")
    at: datetime = strawberry.field(description="When the agent noticed.")
    kind: str = strawberry.field(
        description=f"What is wrong, for programs: {', '.join(Alarm.__members__)}."
    )
    words: str = strawberry.field(description="What is wrong, for people.")
    first: UInt53 = strawberry.field(description="The first entry concerned; 0 where none is.")
    last: UInt53 = strawberry.field(description="The last one.")
    settled_at: datetime | None = strawberry.field(description="When it was settled, if it was.")


def alarm_of(context: ApiContext, row: Row) -> LookAlarm:
    number, at, organisation, kind, words, settled, first, last = row
    return LookAlarm(
        id=context.api.ids.seal(ALARM_KIND, int(number or 0)),
        organisation=party_of(context, str(organisation)),
        at=instant(int(at or 0)),
        kind=str(kind),
        words=str(words),
        first=UInt53(int(first or 0)),
        last=UInt53(int(last or 0)),
        settled_at=None if settled is None else instant(int(settled)),
    )


def _disclosure_of_reading(root: "ReadingLogEntry", info: Info) -> Disclosure | None:
    return _disclosure(info, root.made)


@strawberry.type(description="One entry of this organisation's own reading log.")
class ReadingLogEntry(Node):
    """For the privacy officer; the patient has her own list at her agent."""

    made: strawberry.Private[Cell]
    index: UInt53 = strawberry.field(description="Its index in the log.")
    at: datetime = strawberry.field(description="When, by this node's clock.")
    reader: Reader = strawberry.field(description="Who, in which role, for what purpose.")
    by_person: bool = strawberry.field(description="False where a system read by itself.")
    emergency: bool = strawberry.field(description="Whether an emergency was declared.")
    outcome: LookOutcome = strawberry.field(description="How it ended.")
    rule: str | None = strawberry.field(
        description="Of a refusal: the rule of the gate that decided. It is told to nobody else."
    )
    item_count: int = strawberry.field(description="Records concerned.")
    disclosure: Disclosure | None = strawberry.field(
        resolver=_disclosure_of_reading, description="What had opened them; null for own records."
    )


def reading_of(context: ApiContext, row: Row) -> ReadingLogEntry:
    idx, body, at, why = row
    assert isinstance(body, bytes), "an entry is encoded"
    entry = READING.decode(body)
    return ReadingLogEntry(
        id=context.api.ids.seal(READING_KIND, int(idx or 0)),
        made=entry.disclosure,
        index=UInt53(int(idx or 0)),
        at=instant(int(at or 0)),
        reader=_reader(entry),
        by_person=entry.by == "person",
        emergency=entry.emergency,
        outcome=LookOutcome(entry.outcome),
        rule=str(why) if why else None,
        item_count=len(entry.items),
    )


def find_look(context: ApiContext, keys: tuple[SortKey, ...]) -> Look | None:
    row = find(context, LOOKS, keys)
    return None if row is None else look_of(context, row)


def find_alarm(context: ApiContext, keys: tuple[SortKey, ...]) -> LookAlarm | None:
    row = find(context, ALARMS, keys)
    return None if row is None else alarm_of(context, row)


def find_reading(context: ApiContext, keys: tuple[SortKey, ...]) -> ReadingLogEntry | None:
    row = find(context, READINGS, keys)
    return None if row is None else reading_of(context, row)


def who_looked(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Look]:
    context = info.context
    asked = PageArguments(first, after, last, before)
    return page(context, LOOKS, asked, lambda row: look_of(context, row))


def look_alarms(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[LookAlarm]:
    context = info.context
    asked = PageArguments(first, after, last, before)
    return page(context, ALARMS, asked, lambda row: alarm_of(context, row))


def reading_log(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[ReadingLogEntry]:
    context = info.context
    asked = PageArguments(first, after, last, before)
    return page(context, READINGS, asked, lambda row: reading_of(context, row))
