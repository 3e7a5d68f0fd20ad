"""The gate: every path under every rule, against an oracle that knows only which breakages forbid what."""

from collections.abc import Callable
from datetime import timedelta
from itertools import combinations

import pytest

from app.access import NOTHING_AVAILABLE, WORDS, GateRule, Permit
from app.auth.sessions import Role, Session
from app.blobs.cid import RAW, Cid
from app.blobs.wrap import SharedWrap
from app.gate import REFUSED_AFTER_MS, AccessEnded, Lacking, Opened, Refused
from states.encoding import encode
from states.identity import Party
from states.reading import item_hash
from states.state import StateRef, TransactionId
from states.subjects.codes import Purpose
from tests.contracts.cast import ADA_AT_RIVERSIDE, AGENT, DR_REED, MERCY, NOW, RIVERSIDE, seeded
from tests.unit.app.gate_world import (
    ADA,
    CONSENT,
    DISCLOSED,
    ELSEWHERE,
    EPOCH,
    HERS,
    LONG,
    OTHER_PERSON,
    OWN,
    TEXT,
    World,
    sealed,
    session,
    terms,
)

HOUR = 3_600_000


class Asked:
    """One question to the gate, as a breakage may change it."""

    def __init__(self, world: World, path: str = "disclosed") -> None:
        self.world = world
        self.session: Session = session() if path != "hers" else session(Role.PATIENT, ADA.hex())
        self.purpose: Purpose = "TREAT"
        self.tx, self.item = DISCLOSED, 0
        self.ref = OWN if path != "hers" else HERS


Break = Callable[[Asked], None]
Breaks = tuple[tuple[GateRule, Break], ...]
Read = Callable[[Asked], Opened | Refused]


def _expired(asked: Asked) -> None:
    ends = asked.session.issued + timedelta(seconds=1)
    asked.world.stated(live=True, at=NOW)
    asked.session = Session("s", "u", asked.session.role, asked.session.person_id,
                            asked.session.organisation, asked.session.issued, ends)  # fmt: skip
    asked.world.now = NOW + 1_000


def _of_another(asked: Asked) -> None:
    asked.session = session(asked.session.role, asked.session.person_id, MERCY)


def _role(role: Role) -> Break:
    def change(asked: Asked) -> None:
        asked.session = session(role, asked.session.person_id, Party(asked.session.organisation))

    return change


def _left(asked: Asked) -> None:
    asked.world.change("UPDATE practitioner SET active = 0 WHERE person = ?", DR_REED)


def _nobody(asked: Asked) -> None:
    asked.session = session(asked.session.role, "no id", Party(asked.session.organisation))


def _other_person(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure SET person = ?", OTHER_PERSON)


def _other_role(asked: Asked) -> None:
    asked.world.change("UPDATE practitioner SET role = 'researcher' WHERE person = ?", DR_REED)


def _other_purpose(asked: Asked) -> None:
    asked.purpose = "HRESCH"


def _no_disclosure(asked: Asked) -> None:
    asked.tx = TransactionId(ELSEWHERE)


def _no_item(asked: Asked) -> None:
    asked.item = 7


def _not_recipient(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure SET recipient = ?, custodian = ?", MERCY, RIVERSIDE)


def _no_key(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure_item SET wrapped = NULL")


def _withdrawn(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure_item SET withdrawn_at = ?", NOW)


def _unconfirmed(asked: Asked) -> None:
    asked.world.db.execute("INSERT OR REPLACE INTO unconfirmed VALUES (?, ?)", (MERCY, b"flow"))


def _too_late(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure SET read_until = ?", NOW)


def _consent_over(asked: Asked) -> None:
    asked.world.change('UPDATE statement SET "end" = ?', NOW)


def _consumed(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET consumed_seq = 9")


def _closed(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET closed_at = ?", NOW)


def _no_consent(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET tx = ?", ELSEWHERE)


def _stale(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure SET at = ?", NOW - HOUR)


def _dead(asked: Asked) -> None:
    asked.world.stated(live=False, at=NOW - 1)


def _damaged(asked: Asked) -> None:
    asked.world.change("UPDATE disclosure_item SET commitment = ?", bytes(32))


def _other_wrap(asked: Asked) -> None:
    asked.world.change(
        "UPDATE disclosure_item SET wrapped = (SELECT wrapped FROM disclosure_item WHERE item = 1)"
    )


# In the order in which the gate asks; the oracle knows nothing else.
DISCLOSED_BREAKS: tuple[tuple[GateRule, Break], ...] = (
    (GateRule.SESSION_LIVES, _expired),
    (GateRule.OF_THIS_NODE, _of_another),
    *((GateRule.ROLE, _role(role)) for role in Role if role is not Role.CLINICIAN),
    (GateRule.STAFF, _left),
    (GateRule.STAFF, _nobody),
    (GateRule.HELD, _no_disclosure),
    (GateRule.HELD, _no_item),
    (GateRule.HELD, _not_recipient),
    (GateRule.SAME_PERSON, _other_person),
    (GateRule.SAME_ROLE, _other_role),
    (GateRule.SAME_PURPOSE, _other_purpose),
    (GateRule.RELEASED, _no_key),
    (GateRule.NOT_WITHDRAWN, _withdrawn),
    (GateRule.CONFIRMED, _unconfirmed),
    (GateRule.IN_TIME, _too_late),
    (GateRule.IN_TIME, _consent_over),
    (GateRule.CONSENT_LIVES, _consumed),
    (GateRule.CONSENT_LIVES, _closed),
    (GateRule.CONSENT_LIVES, _no_consent),
    (GateRule.LEASE, _stale),
    (GateRule.LEASE, _dead),
    (GateRule.READABLE, _damaged),
    (GateRule.READABLE, _other_wrap),
)


def _not_treatment(asked: Asked) -> None:
    asked.purpose = "HPAYMT"


def _no_record(asked: Asked) -> None:
    asked.ref = StateRef(TransactionId(ELSEWHERE), 0)


def _not_ours(asked: Asked) -> None:
    asked.world.change("UPDATE record SET custodian = ?", MERCY)


def _erased(asked: Asked) -> None:
    asked.world.change("UPDATE record SET key = NULL")


def _untold(asked: Asked) -> None:
    asked.world.patients.told = False


def _restricted(asked: Asked) -> None:
    asked.world.closes()


def _own_damaged(asked: Asked) -> None:
    asked.world.change("UPDATE record SET commitment = ?", bytes(32))


def _passed_on(asked: Asked) -> None:
    asked.world.change("UPDATE record SET passed_to = ?", "did:key:zNorthside")


OWN_BREAKS: tuple[tuple[GateRule, Break], ...] = (
    (GateRule.SESSION_LIVES, _expired),
    (GateRule.OF_THIS_NODE, _of_another),
    *((GateRule.ROLE, _role(role)) for role in Role if role is not Role.CLINICIAN),
    (GateRule.STAFF, _left),
    (GateRule.STAFF, _nobody),
    (GateRule.TREATMENT, _not_treatment),
    (GateRule.OWN_RECORD, _no_record),
    (GateRule.OWN_RECORD, _not_ours),
    (GateRule.OWN_RECORD, _erased),
    (GateRule.OWN_RECORD, _passed_on),
    (GateRule.TOLD, _untold),
    (GateRule.NOT_CLOSED, _restricted),
    (GateRule.READABLE, _own_damaged),
)


def _role_but(kept: Role) -> tuple[tuple[GateRule, Break], ...]:
    return tuple((GateRule.ROLE, _role(role)) for role in Role if role is not kept)


def _another_patient(asked: Asked) -> None:
    asked.world.change("UPDATE record SET patient = ? WHERE tx = ?", OTHER_PERSON.hex(), HERS.tx)


def _nobodys(asked: Asked) -> None:
    asked.world.change("UPDATE record SET patient = NULL WHERE tx = ?", HERS.tx)


def _no_person(asked: Asked) -> None:
    asked.session = session(asked.session.role, None, Party(asked.session.organisation))


def _in_own_custody(asked: Asked) -> None:
    asked.world.change("UPDATE record SET custodian = ? WHERE tx = ?", RIVERSIDE, HERS.tx)


def _withheld(asked: Asked) -> None:
    asked.world.change("UPDATE record SET withheld = 'harm' WHERE tx = ?", HERS.tx)
    _no_key_yet(asked)


def _no_key_yet(asked: Asked) -> None:
    asked.world.db.execute("DELETE FROM patient_key")


def _key_of_anothers_record(asked: Asked) -> None:
    """The same bytes are another patient's record, too, and the key came with that one."""
    world = asked.world
    add_copy = (
        "INSERT INTO record SELECT ?, 0, custodian, ?, version, commitment, blob, size_class, content, category,"
        " kind, day, key, length, resource_id, withheld, 9, NULL, NULL FROM record WHERE tx = ?"
    )
    world.change(add_copy, ELSEWHERE, OTHER_PERSON.hex(), HERS.tx)
    world.db.execute("UPDATE patient_key SET tx = ?, idx = 0", (ELSEWHERE,))


def _not_fetched(asked: Asked) -> None:
    asked.world.change("UPDATE record SET blob = ? WHERE tx = ?", str(Cid(RAW, bytes(32))), HERS.tx)


def _wrong_key(asked: Asked) -> None:
    """Wrapped as it should be, and no key of this record."""
    shared = SharedWrap(seeded("shared key"), HERS.tx)
    commitment = sealed(TEXT)[1].commitment
    wrong = shared.wrap(1, bytes(32), commitment)
    asked.world.db.execute("UPDATE patient_key SET wrapped = ?", (wrong,))


def _other_record_of_the_wrap(asked: Asked) -> None:
    shared = SharedWrap(seeded("shared key"), HERS.tx)
    key, made = sealed(TEXT)
    asked.world.db.execute(
        "UPDATE patient_key SET wrapped = ?", (shared.wrap(0, key, made.commitment),)
    )


def _epoch_gone(asked: Asked) -> None:
    asked.world.keys.destroy_epoch(EPOCH)


HERS_BREAKS: tuple[tuple[GateRule, Break], ...] = (
    (GateRule.SESSION_LIVES, _expired),
    (GateRule.OF_THIS_NODE, _of_another),
    *_role_but(Role.PATIENT),
    (GateRule.HERS, _no_record),
    (GateRule.HERS, _another_patient),
    (GateRule.HERS, _nobodys),
    (GateRule.HERS, _no_person),
    (GateRule.HERS, _in_own_custody),
    (GateRule.NOT_WITHHELD, _withheld),
    (GateRule.KEY_GIVEN, _no_key_yet),
    (GateRule.KEY_GIVEN, _key_of_anothers_record),
    (GateRule.FETCHED, _not_fetched),
    (GateRule.GENUINE, _wrong_key),
    (GateRule.GENUINE, _other_record_of_the_wrap),
    (GateRule.GENUINE, _epoch_gone),
)


def _not_grantee(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET grantee = ?, custodian = ?", MERCY, RIVERSIDE)


def _no_consent_at_all(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET grantee = NULL")


def _for_another(asked: Asked) -> None:
    asked.world.change("UPDATE statement SET terms = ?", encode(terms(OTHER_PERSON)))


REQUEST_BREAKS: tuple[tuple[GateRule, Break], ...] = (
    (GateRule.SESSION_LIVES, _expired),
    (GateRule.OF_THIS_NODE, _of_another),
    *((GateRule.ROLE, _role(role)) for role in Role if role is not Role.CLINICIAN),
    (GateRule.STAFF, _left),
    (GateRule.STAFF, _nobody),
    (GateRule.CONSENT_HELD, _no_consent),
    (GateRule.CONSENT_HELD, _not_grantee),
    (GateRule.CONSENT_HELD, _no_consent_at_all),
    (GateRule.ADDRESSED, _for_another),
    (GateRule.CONSENT_LIVES, _consent_over),
    (GateRule.CONSENT_LIVES, _consumed),
    (GateRule.CONSENT_LIVES, _closed),
)


def _request(asked: Asked) -> Permit | Refused:
    """As the API: what the gate does not permit is refused, and that is kept."""
    decision = asked.world.gate.may_request(asked.session, CONSENT)
    if isinstance(decision, Permit):
        return decision
    return asked.world.gate.refuse_request(asked.session, CONSENT, asked.purpose)


def _read(asked: Asked) -> Opened | Refused:
    return asked.world.gate.read_record(asked.session, asked.tx, asked.item, asked.purpose)


def _read_own(asked: Asked) -> Opened | Refused:
    return asked.world.gate.read_own(asked.session, asked.ref, asked.purpose)


def _read_hers(asked: Asked) -> Opened | Refused:
    return asked.world.gate.read_hers(asked.session, asked.ref, asked.purpose)


READS: dict[str, Read] = {"disclosed": _read, "own": _read_own, "hers": _read_hers}
PATHS: dict[str, tuple[Callable[[Asked], Opened | Permit | Refused], Breaks]] = {
    "disclosed": (_read, DISCLOSED_BREAKS),
    "own": (_read_own, OWN_BREAKS),
    "hers": (_read_hers, HERS_BREAKS),
    "requested": (_request, REQUEST_BREAKS),
}
EVERY_BREAK = [(path, at) for path, (_, breaks) in PATHS.items() for at in range(len(breaks))]
EVERY_TWO = [
    (path, pair)
    for path, (_, breaks) in PATHS.items()
    for pair in combinations(range(len(breaks)), 2)
    if breaks[pair[0]][0] is not breaks[pair[1]][0]
    # Where no consent is held, its end is not known either: these two cannot be met together.
    and {breaks[at][1] for at in pair} != {_consent_over, _no_consent}
]


@pytest.mark.parametrize("path", READS)
def test_with_nothing_broken_the_bytes_come_and_the_reading_is_durable_first(path: str) -> None:
    world = World()
    opened = READS[path](Asked(world, path))
    assert isinstance(opened, Opened)
    ((entry, why),) = world.logged()  # before any byte was taken
    who = "Dr A. Reed" if path != "hers" else "the patient herself"
    assert (entry.outcome, entry.purpose, entry.shown_as, why) == ("read", "TREAT", who, "")
    assert entry.disclosure == (DISCLOSED if path == "disclosed" else None)
    assert b"".join(opened.chunks) == TEXT
    assert not world.db.in_transaction


@pytest.mark.parametrize(("path", "at"), EVERY_BREAK)
def test_one_broken_rule_refuses_by_that_rule_and_is_logged(path: str, at: int) -> None:
    read, breaks = PATHS[path]
    asked = Asked(World(), path)
    world = asked.world
    rule, change = breaks[at]
    change(asked)
    refused = read(asked)
    assert isinstance(refused, Refused)
    ((entry, why),) = world.logged()
    assert (entry.outcome, why) == ("refused", rule.name)
    assert refused.words == WORDS.get(rule, NOTHING_AVAILABLE)
    assert refused.answer_at == world.now + REFUSED_AFTER_MS


@pytest.mark.parametrize(("path", "pair"), EVERY_TWO)
def test_of_two_broken_rules_the_first_decides(path: str, pair: tuple[int, int]) -> None:
    read, breaks = PATHS[path]
    asked = Asked(World(), path)
    world = asked.world
    for at in reversed(pair):  # a break of the session would undo the other's, so the later first
        breaks[at][1](asked)
    assert isinstance(read(asked), Refused)
    # Named by the first: so nobody learns from words what an earlier rule hides.
    assert world.logged()[-1][1] == breaks[pair[0]][0].name


def test_what_is_not_there_is_refused_in_the_words_of_what_is_anothers() -> None:
    answers = set()
    for change in (
        _no_disclosure,
        _no_item,
        _not_recipient,
        _other_person,
        _other_purpose,
        _no_key,
    ):
        asked = Asked(World())
        change(asked)
        refused = _read(asked)
        assert isinstance(refused, Refused)
        answers.add((refused.words, refused.answer_at))
    assert answers == {(NOTHING_AVAILABLE, NOW + REFUSED_AFTER_MS)}


def test_a_refusal_of_a_disclosed_item_is_told_to_the_patient_and_one_of_nothing_to_nobody() -> (
    None
):
    asked = Asked(World())
    world = asked.world
    _closed(asked)
    _read(asked)
    asked.tx = TransactionId(ELSEWHERE)
    _read(asked)
    rows = world.db.execute("SELECT reported FROM reading ORDER BY idx").fetchall()
    assert rows == [(0,), (1,)]


def test_a_request_under_a_consent_that_lives_is_permitted_and_nothing_is_logged() -> None:
    asked = Asked(World())
    assert _request(asked) == Permit(
        int(asked.session.expires.timestamp() * 1_000)
    )  # before the consent ends
    assert asked.world.logged() == []


@pytest.mark.parametrize("change", [_consumed, _closed, _consent_over, _for_another, _left])
@pytest.mark.parametrize("enrolled", [True, False])
def test_a_request_refused_under_a_consent_that_was_held_is_told_to_the_patient(
    change: Break, *, enrolled: bool
) -> None:
    asked = Asked(World())
    change(asked)
    if not enrolled:
        asked.world.change("DELETE FROM enrolment")
    _request(asked)
    chain = asked.world.db.execute("SELECT patient, agent, disclosure FROM reading_chain")
    assert chain.fetchall() == [(ADA_AT_RIVERSIDE, AGENT, None)]
    assert asked.world.db.execute("SELECT reported FROM reading").fetchall() == [(0,)]


@pytest.mark.parametrize("change", [_no_consent, _not_grantee, _no_consent_at_all])
def test_a_request_under_what_is_no_consent_here_is_logged_and_told_to_nobody(
    change: Break,
) -> None:
    asked = Asked(World())
    change(asked)
    _request(asked)
    assert asked.world.db.execute("SELECT reported FROM reading").fetchall() == [(1,)]
    assert asked.world.db.execute("SELECT agent FROM reading_chain").fetchall() == [(None,)]


def test_who_is_told_of_an_enrolled_patient_is_the_agent_that_her_enrolment_names() -> None:
    """A grantee judges no authority: whoever knows her id could have notarised a consent that names another agent."""
    asked = Asked(World())
    asked.world.change("UPDATE statement SET agent = ?", MERCY)
    _consumed(asked)
    _request(asked)
    assert asked.world.db.execute("SELECT agent FROM reading_chain").fetchall() == [(AGENT,)]


def test_what_a_patient_reads_at_home_is_in_a_chain_of_hers_that_this_agent_keeps() -> None:
    asked = Asked(World(), "hers")
    _read_hers(asked)
    _no_key_yet(asked)
    _read_hers(asked)
    _no_record(asked)
    _read_hers(asked)
    rows = asked.world.db.execute(
        "SELECT c.patient, c.agent, r.reported FROM reading r JOIN reading_chain c USING (chain) ORDER BY r.idx"
    )
    assert rows.fetchall() == [(ADA, RIVERSIDE, 0), (ADA, RIVERSIDE, 0), (None, None, 1)]


@pytest.mark.parametrize(
    ("change", "key", "ciphertext"),
    [(_no_key_yet, True, False), (_not_fetched, False, True), (_key_of_anothers_record, True, False)],
)  # fmt: skip
def test_what_is_lacking_is_said_to_whom_it_will_open_and_to_nobody_else(
    change: Break, *, key: bool, ciphertext: bool
) -> None:
    asked = Asked(World(), "hers")
    gate = asked.world.gate
    assert gate.lacking(asked.session, asked.ref) is None
    change(asked)
    found = gate.lacking(asked.session, asked.ref)
    assert found == Lacking(MERCY, HERS, key=key, ciphertext=ciphertext)
    for other in (_another_patient, _no_person, _of_another, _expired, _role(Role.CLINICIAN)):
        asked = Asked(World(), "hers")
        change(asked)
        other(asked)
        assert asked.world.gate.lacking(asked.session, asked.ref) is None, other


def test_nothing_is_to_be_got_of_what_is_withheld() -> None:
    asked = Asked(World(), "hers")
    _withheld(asked)
    assert asked.world.gate.lacking(asked.session, asked.ref) is None


def test_an_entry_names_its_item_by_a_salted_hash() -> None:
    world = World()
    _read(Asked(world))
    (commitment,) = world.db.execute(
        "SELECT commitment FROM disclosure_item WHERE item = 0"
    ).fetchone()
    (salt,) = world.db.execute("SELECT salt FROM reading").fetchone()
    ((entry, _),) = world.logged()
    assert entry.items == (item_hash(salt, commitment),)


@pytest.mark.parametrize("change", [_closed, _consumed, _withdrawn, _too_late, _left, _dead])
def test_a_stream_ends_before_its_next_chunk_when_what_permitted_it_ends(change: Break) -> None:
    asked = Asked(World())
    asked.item = 1
    opened = _read(asked)
    assert isinstance(opened, Opened)
    first = next(opened.chunks)
    assert LONG.startswith(first)
    change(asked)
    with pytest.raises(AccessEnded):
        next(opened.chunks)


def test_a_stream_that_stays_permitted_gives_all_of_it() -> None:
    asked = Asked(World())
    asked.item = 1
    opened = _read(asked)
    assert isinstance(opened, Opened)
    assert b"".join(opened.chunks) == LONG


def test_a_newer_word_of_the_notary_prolongs_reading_and_the_lease_ends_it() -> None:
    asked = Asked(World())
    world = asked.world
    world.now = NOW - 60_000 + HOUR - 1
    assert isinstance(_read(asked), Opened)
    world.now += 1
    assert isinstance(_read(asked), Refused)
    world.stated(live=True, at=world.now - 10)
    opened = _read(asked)
    assert isinstance(opened, Opened)
    assert opened.until == world.now - 10 + HOUR


@pytest.mark.parametrize("behind", [1, 240_000, 24 * HOUR])
def test_a_clock_that_is_behind_makes_no_word_of_the_notary_last_longer(behind: int) -> None:
    """The notary's time lies ahead of this clock: both words count from when they were heard."""
    asked = Asked(World())
    world = asked.world
    world.change("UPDATE disclosure SET at = ?, since = ?", NOW + behind, NOW)
    opened = _read(asked)
    assert isinstance(opened, Opened)
    assert opened.until == NOW + HOUR
    world.stated(live=True, at=NOW + 10 + behind, heard=NOW + 10)
    opened = _read(asked)
    assert isinstance(opened, Opened)
    assert opened.until == NOW + 10 + HOUR
    world.now = NOW + 10 + HOUR
    assert isinstance(_read(asked), Refused)


def test_a_word_that_was_long_on_its_way_counts_from_when_it_was_said() -> None:
    asked = Asked(World())
    asked.world.change("UPDATE disclosure SET since = ?", NOW)
    asked.world.stated(live=True, at=NOW - 5_000, heard=NOW)
    opened = _read(asked)
    assert isinstance(opened, Opened)
    assert opened.until == NOW - 5_000 + HOUR


def test_the_gate_is_never_asked_inside_a_turn() -> None:
    world = World()
    world.db.execute("BEGIN IMMEDIATE")
    with pytest.raises(AssertionError):
        _read(Asked(world))
