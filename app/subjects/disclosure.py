"""Disclosures at a node: asked for by a recipient, decided by the custodian, seen by the agent."""

from sqlite3 import Connection
from typing import Literal

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from app.blobs.cipher import DATA_KEY_SIZE
from app.blobs.wrap import WrapContext, wrap_data_key
from app.readings.log import NO_STAFF
from app.rows.tables import (
    DISCLOSURE_TABLES,
    AskedRow,
    DisclosureItemRow,
    DisclosureRow,
)
from app.storage.statements import creation, sql, table_of
from app.subjects.deciding import Candidate, Deciding
from app.subjects.enrolment import Enrolments
from app.subjects.notices import Early, take_early
from app.subjects.statement import LiveStatement, Statements, current
from app.subjects.wrapped import epoch_key
from app.vault.drafts import Output, Saying
from app.vault.ground import Ground
from app.vault.reader import BasisNotHeld, PartlyShown
from app.vault.subject import Holders, Step
from flows.flow import FlowRefused
from flows.notices import Letter
from flows.services import Held
from flows.step import Handlers
from flows.subjects.disclosure import (
    Asked,
    AskFor,
    Decided,
    DecideRequest,
    NotAsked,
    Refusal,
    WriteRequest,
    Written,
)
from states.contract import Contract
from states.crypto.hashes import HASH_SIZE
from states.crypto.keys import Key
from states.crypto.policy import One
from states.crypto.signatures import sign_evidence, verify_evidence
from states.encoding import Codec, encode
from states.errors import InvalidSignature
from states.groups import Group
from states.identity import Party
from states.ledger import Data, LedgerTransaction
from states.state import StateRef
from states.subjects.consent import Consent
from states.subjects.disclosure import (
    ByConsent,
    Disclosure,
    DisclosureContract,
    DisclosureMake,
    Item,
    Who,
    seal_places,
)
from states.tearoff import Tearoff
from states.verifier import CheckedTransaction, VerifiedTransaction

NUMBER_SIZE = 16
ITEMS_MAX = 1_000  # a transaction with them stays within an envelope
NOTHING_AVAILABLE = "Nothing available."
NOT_NOW = "The custodian was restored from a backup, and has yet to hear what the patient has changed. Ask again soon."
ASKED: Codec[Asked] = Codec(Asked, "request for disclosure", 1 << 14)

_DISCLOSURE, _ITEM = table_of(DisclosureRow), table_of(DisclosureItemRow)
_ASKED = table_of(AskedRow)
_ADD_DISCLOSURE, _ADD_ITEM = sql(insert(_DISCLOSURE)), sql(insert(_ITEM))
_ADD_ASKED = sql(insert(_ASKED))
_GET_ASKED = sql(select(_ASKED.c.asked).where(_ASKED.c.number == bindparam("number")))
_ANSWERED = sql(
    update(_ASKED)
    .where(_ASKED.c.number == bindparam("id"))
    .values(tx=bindparam("made"), outcome=bindparam("what"))
)


class DisclosureSubject:
    """The node's side of disclosure."""

    def __init__(self, ground: Ground, statements: Statements, deciding: Deciding) -> None:
        self.contract: Contract = DisclosureContract()
        self._ground = ground
        self._statements = statements
        self._enrolments: Enrolments = statements.enrolments
        self._deciding = deciding
        self.me = ground.me

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*DISCLOSURE_TABLES):
            db.execute(statement)

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(WriteRequest, self.write_request)
        handlers.on(DecideRequest, self.decide)

    # -- what the vault asks -------------------------------------------------------------------------

    def holders(self, step: Step, ledger: LedgerTransaction) -> Holders:
        """Custodian, recipient and agent, as the disclosure says."""
        del step
        return {
            party: frozenset({role})
            for _, made in ledger.outputs_of(Disclosure)
            for party, role in (
                (made.custodian, "custodian"),
                (made.recipient, "recipient"),
                (made.agent, "agent"),
            )
        }

    def accept(self, step: Step, checked: CheckedTransaction) -> None:
        """Its basis is a consent that this node holds: so the contract's clauses about it were judged.

        And all of it is shown, for what was recorded once is not taken again: whoever brought it first without an item
        would have hidden that item from the patient for ever.
        """
        del step
        if not checked.filtered.is_complete(Group.SEALED):
            why = "a disclosure is brought without all that its holders read"
            raise PartlyShown(why, checked.ledger.id)
        for item in checked.ledger.references:
            if item.held is None:
                raise BasisNotHeld("the consent of a disclosure is not held here", item.ref.tx)

    def judge(self, step: Step, checked: CheckedTransaction, peer: Party, number: bytes) -> Tearoff:
        """At the recipient: a proposal is what the request with this number asked for, and no more."""
        row = step.unit.execute(_GET_ASKED, {"number": number}).fetchone()
        if row is None:
            raise FlowRefused("not-asked", "nobody here asked for this")
        asked = ASKED.decode(row[0]).request
        ledger = checked.ledger
        made = [made for _, made in ledger.outputs_of(Disclosure)]
        who = [who for _, who in ledger.seals_of(Who)]
        items = [item for _, item in ledger.seals_of(Item)]
        wanted = set(asked.categories)
        as_asked = (
            len(made) == 1
            and (made[0].custodian, made[0].recipient) == (peer, self.me)
            and who == [asked.who]
            and [item.ref for item in ledger.references] == [asked.consent]
            and len(items) == made[0].items
            and all(not wanted or item.content.category in wanted for item in items)
        )
        if not as_asked:
            raise FlowRefused("not-as-asked", "the proposal is not what was asked for")
        return checked.filtered.tearoff

    def record(self, step: Step, verified: VerifiedTransaction, seq: int) -> tuple[Letter, ...]:
        ledger = verified.checked.ledger
        ((_, made),) = ledger.outputs_of(Disclosure)
        ((_, who),) = ledger.seals_of(Who)
        # It may have moved to another notary before this node heard of what rests on it.
        ref = ledger.references[made.basis.reference].ref
        consent = current(self._ground.vault, step.unit, ref)
        row = {
            "tx": ledger.id,
            "custodian": made.custodian,
            "recipient": made.recipient,
            "agent": made.agent,
            "patient": self._statements.live_or_ended(step.unit, consent).patient,
            "consent_tx": consent.tx,
            "consent_idx": consent.index,
            "person": who.person,
            "shown_as": who.shown_as,
            "role": who.role,
            "purpose": who.purpose,
            "release_by": made.release_by,
            "read_until": made.read_until,
            "items": made.items,
            "at": verified.receipt.entry.at,
            "since": step.now,
            "created_seq": seq,
            "released": 0,
        }
        step.unit.execute(_ADD_DISCLOSURE, row)
        early, nothing = take_early(step.unit, ledger.id), Early()
        step.unit.executemany(
            _ADD_ITEM,
            [
                _item_row(ledger, number, item) | early.get(item.commitment, nothing)._asdict()
                for number, (_, item) in enumerate(ledger.seals_of(Item))
            ],
        )
        # Only where this node made it: nobody else's word withdraws. A denial may be recorded here already.
        return self._deciding.withdraw_closed(step, ledger.id) if made.custodian == self.me else ()

    # -- the recipient's request ----------------------------------------------------------------------

    def write_request(self, step: Step, request: WriteRequest) -> Written:
        """See WriteRequest."""
        consent = self._readable(step, request.consent)
        person = self._enrolments.practitioner(step.unit, request.person)
        if isinstance(consent, NotAsked) or person is None:
            nobody = NotAsked("nobody", "no such person works here")
            refusal = consent if isinstance(consent, NotAsked) else nobody
            shown_as, role = (person.shown_as, person.role) if person else (NO_STAFF, "nobody")
            who = Who(request.person, shown_as, role, request.purpose, b"")
            self._deciding.log_own_refusal(step, request.consent, who, refusal.code)
            return Written(None, refusal)
        epoch, public = epoch_key(self._ground.keys, step.now)
        asked = AskFor(
            number=self._ground.entropy(NUMBER_SIZE),
            recipient=self.me,
            custodian=consent.custodian,
            consent=request.consent,
            who=Who(person.person, person.shown_as, person.role, request.purpose, b""),
            categories=request.categories,
            epoch=epoch,
            epoch_key=public,
            at=step.now,
        )
        network = self._ground.in_force(step.now).network
        signed = Asked(asked, sign_evidence(self._ground.identity, network, encode(asked)))
        row = {"number": asked.number, "asked": encode(signed), "at": step.now}
        step.unit.execute(_ADD_ASKED, row | {"tx": None, "outcome": None})
        return Written(signed, None)

    def _readable(self, step: Step, ref: StateRef) -> Consent | NotAsked:
        live = self._statements.find(step.unit, ref)
        if live is None or not isinstance(live.data, Consent) or live.data.grantee != self.me:
            return NotAsked("nothing-available", NOTHING_AVAILABLE)
        if live.ended or live.closed or step.now >= live.data.end:
            return NotAsked(
                "consent-ended",
                "This patient's consent has ended. Ask the patient for a new one, or in danger of life "
                "declare an emergency.",
            )
        return live.data

    # -- the custodian's decision ---------------------------------------------------------------------

    def decide(self, step: Step, request: DecideRequest) -> Decided:
        """See DecideRequest. What is not permitted is, to the recipient, as if it did not exist."""
        asked = request.asked.request
        self._check_evidence(step, request)
        self._check_answerable(step, asked)
        step.unit.execute(
            _ADD_ASKED,
            {
                "number": asked.number,
                "asked": encode(request.asked),
                "at": step.now,
                "tx": None,
                "outcome": None,
            },
        )
        found = self._statements.find(step.unit, asked.consent)
        if (
            found is None
            or not isinstance(found.data, Consent)
            or found.data.grantee != request.peer
        ):
            return self._refuse(step, asked, None, "nothing-available", NOTHING_AVAILABLE)
        if found.ended or found.closed:
            words = "This patient's consent has ended."
            return self._refuse(step, asked, found, "consent-ended", words)
        if found.patient is not None and not self._deciding.is_told(step.unit, found.patient):
            return self._refuse(step, asked, found, "not-now", NOT_NOW)
        items = self._deciding.permitted(step, asked, found)[:ITEMS_MAX]
        if not items:
            return self._refuse(step, asked, found, "nothing-available", NOTHING_AVAILABLE)
        held = self._hold(step, asked, found.data, request.asked.signature.key, items)
        step.unit.execute(_ANSWERED, {"id": asked.number, "made": held.tx, "what": "disclosed"})
        return Decided(held, None)

    def _check_evidence(self, step: Step, request: DecideRequest) -> None:
        asked, signature = request.asked.request, request.asked.signature
        parameters = self._ground.in_force(step.now)
        if (asked.recipient, asked.custodian) != (request.peer, self.me):
            raise InvalidSignature("request", "of another recipient or for another custodian")
        if signature.key not in self._ground.directory.identity_keys(request.peer, step.now):
            raise InvalidSignature("request", "not signed by the recipient")
        verify_evidence(signature, parameters.network, encode(asked), parameters.relying)

    def _check_answerable(self, step: Step, asked: AskFor) -> None:
        """One answer to one number, and a key for which something can be wrapped: else it would fail after the notary.

        Raises FlowRefused, WrapRefused.
        """
        if step.unit.execute(_GET_ASKED, {"number": asked.number}).fetchone() is not None:
            raise FlowRefused("asked-before", "a request with this number was answered")
        context = WrapContext(bytes(HASH_SIZE), 0, asked.epoch)
        wrap_data_key(bytes(DATA_KEY_SIZE), asked.epoch_key, context, self._ground.entropy)

    def _refuse(
        self,
        step: Step,
        asked: AskFor,
        consent: LiveStatement | None,
        code: Literal["nothing-available", "consent-ended", "not-now"],
        words: str,
    ) -> Decided:
        step.unit.execute(_ANSWERED, {"id": asked.number, "made": None, "what": code})
        self._deciding.log_refusal(step, asked, consent, code)
        return Decided(None, Refusal(asked.number, code, words))

    def _hold(
        self, step: Step, asked: AskFor, consent: Consent, reader: Key, found: list[Candidate]
    ) -> Held:
        items = [
            Item(each.commitment, each.blob, each.size_class, each.version, each.content)
            for each in found
        ]
        basis = Saying(
            DisclosureMake(),
            (One(self._ground.identity.key), One(reader)),
            references=(asked.consent,),
            until=consent.end,
            begins=consent.start,
        )
        window = self._ground.drafts.window(step.now, basis)
        limits = self._ground.drafts.in_force(window.from_time).limits
        made = Disclosure(
            consent.custodian,
            consent.grantee,
            consent.agent,
            ByConsent(0),
            len(items),
            window.until_time + limits.release_ms,
            consent.end,
            (),
        )
        values: tuple[Data, ...] = (asked.who, *items)
        said = Saying(
            basis.command,
            basis.signers,
            outputs=(Output(self.contract.name, made, self._ground.locks.make(step)),),
            sealed=tuple(
                place.holds(encode(value))
                for place, value in zip(seal_places(len(items)), values, strict=True)
            ),
            references=basis.references,
            until=basis.until,
            begins=basis.begins,
        )
        state = self._ground.vault.state(step.unit, asked.consent)
        assert state is not None, "the consent was found"
        built = self._ground.drafts.build(step.now, said, state.notary)
        return self._ground.vault.hold(step, built.whole(), ())


def _item_row(ledger: LedgerTransaction, number: int, item: Item) -> dict[str, object]:
    return {
        "tx": ledger.id,
        "item": number,
        "commitment": item.commitment,
        "blob": item.blob,
        "size_class": item.size_class,
        "version": item.version,
        "content": encode(item.content),
        "category": item.content.category,
        "wrapped": None,
        "epoch": None,
    }
