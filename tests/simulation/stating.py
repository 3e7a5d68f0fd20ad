"""What patients say: whom they permit to read, what they close, and what they think better of."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from flows.flow import Flow
from flows.subjects.consent import AmendConsent, GrantConsent, RevokeConsent
from flows.subjects.restriction import LiftRestriction, Restrict
from states.state import StateRef, TransactionId
from states.subjects.codes import Category
from states.subjects.terms import Exceptions, Terms
from tests.simulation.node import SimNode
from tests.simulation.readers import READER, Readers

if TYPE_CHECKING:
    from tests.simulation.world import World

CATEGORIES: tuple[Category, ...] = ("laboratory", "medication", "note")
PERMITTED: tuple[list[Category], ...] = (["laboratory", "medication"], ["note"])
CUSTODIANS = ("Mercy", "Riverside", "Northside")
RECIPIENTS = ("Riverside", "Mercy")
DAY = 86_400_000
KNOWN_SHARE = 0.8  # of consents: those for custodians where their patient is enrolled
DISCLOSED_SHARE = 0.8  # of restrictions, where something is disclosed that one can still close

_LIVE = "SELECT tx, idx FROM statement WHERE contract = ? AND consumed_seq IS NULL ORDER BY tx"
_DISCLOSED = (
    "SELECT d.patient, d.custodian, d.recipient, i.category FROM disclosure d"
    " JOIN disclosure_item i USING (tx)"
    " JOIN statement s ON (s.tx, s.idx) = (d.consent_tx, d.consent_idx)"
    " WHERE d.patient IS NOT NULL AND s.consumed_seq IS NULL"
    " ORDER BY d.created_seq DESC, i.item LIMIT 1"
)
_ENROLMENTS = (
    "SELECT local, custodian FROM enrolment WHERE signed IS NOT NULL ORDER BY patient, custodian"
)


class Stating:
    """Draws what patients state. They know only what their agent shows them."""

    def __init__(
        self,
        world: "World",
        random: Random,
        launch: Callable[[SimNode, Flow], object],
        patients: tuple[bytes, ...],
        readers: Readers,
    ) -> None:
        self._world = world
        self._random = random
        self._launch = launch
        self._patients = patients
        self._readers = readers
        self._agent = world.nodes["Agent"]

    # -- consents --------------------------------------------------------------------------------------

    def grant(self) -> None:
        """Let a patient permit something: mostly to somebody who can get it where she is enrolled."""
        known = self._random.random() < KNOWN_SHARE
        enrolled = self._agent.disk.execute(_ENROLMENTS).fetchall() if known else []
        patient = self._random.choice(self._patients)
        grantee = self._random.choice(RECIPIENTS)
        custodian = self._random.choice([each for each in CUSTODIANS if each != grantee])
        if enrolled:
            local, party = self._random.choice(enrolled)
            patient, custodian = bytes.fromhex(local), self._at(party).name
            grantee = self._random.choice([each for each in RECIPIENTS if each != custodian])
        self.grant_to(patient, custodian, grantee)

    def grant_to(self, patient: bytes, custodian: str, grantee: str) -> None:
        now = self._agent.clock()
        categories: list[Category] = self._random.choice(PERMITTED)
        days = self._random.choice((7 * DAY, 7 * DAY, 120_000))
        self._launch(
            self._agent,
            GrantConsent(
                patient,
                self._world.nodes[custodian].me,
                self._world.nodes[grantee].me,
                now,
                now + days,
                _permit(*categories),
                Exceptions((), ()),
            ),
        )

    def amend_consent(self) -> None:
        found = self._live("consent/1")
        if found is not None:
            end = self._agent.clock() + 3 * DAY
            terms = _permit("laboratory", "note")
            self._launch(self._agent, AmendConsent(found, end, terms, Exceptions((), ())))

    def revoke(self) -> None:
        found = self._live("consent/1")
        if found is not None:
            self._launch(self._agent, RevokeConsent(found))

    def contest(self) -> None:
        """Two people at once change the same consent: one of them only may."""
        found = self._live("consent/1")
        if found is not None:
            end = self._agent.clock() + DAY
            terms = _permit("laboratory")
            self._launch(self._agent, RevokeConsent(found))
            self._launch(self._agent, AmendConsent(found, end, terms, Exceptions((), ())))

    # -- restrictions ----------------------------------------------------------------------------------

    def restrict(self) -> None:
        """Let a patient close a category somewhere: mostly of what was disclosed last on a consent that still lives.

        Only that separates the two reasons for which a recipient may read no more: a consent that ends withdraws, too.
        """
        patient = self._random.choice(self._patients)
        custodian = self._world.nodes[self._random.choice(CUSTODIANS)]
        category = self._random.choice(CATEGORIES)
        row = self._agent.disk.execute(_DISCLOSED).fetchone()
        if row is not None and self._random.random() < DISCLOSED_SHARE:
            handle, party, recipient, category = row
            patient, custodian = bytes.fromhex(handle), self._at(party)
            self._readers.wait_at(self._at(recipient))
        terms = Terms("deny", None, None, (), (category,), ())
        self._launch(self._agent, Restrict(patient, custodian.me, terms))

    def lift(self) -> None:
        found = self._live("restriction/1")
        if found is not None:
            self._launch(self._agent, LiftRestriction(found))

    # -- what her agent shows --------------------------------------------------------------------------

    def _live(self, contract: str) -> StateRef | None:
        rows = self._agent.disk.execute(_LIVE, (contract,)).fetchall()
        if not rows:
            return None
        tx, index = self._random.choice(rows)
        return StateRef(TransactionId(tx), index)

    def _at(self, party: str) -> SimNode:
        node = self._world.node_of(party)
        assert node is not None, "the stranger is nobody's custodian"
        return node


def _permit(*categories: Category) -> Terms:
    return Terms("permit", READER, None, ("TREAT",), tuple(sorted(categories)), ())
