"""Enrolments and the staff directory of a node: who is whose patient, and by which key she speaks."""

from collections.abc import Callable
from sqlite3 import Connection

from sqlalchemy import bindparam, null, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.keystore.keys import AuthorityKey, KeyStore
from app.keystore.signers import HandleSigner
from app.rows.tables import ENROLMENT_TABLES, EnrolmentRow, OfferRow, PractitionerRow
from app.storage.statements import creation, sql, table_of
from app.vault.ground import Ground
from app.vault.reader import NotYet
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Done
from flows.step import Handlers
from flows.subjects.enrolment import (
    AcceptEnrolment,
    Application,
    Apply,
    CustodianSigned,
    EnrolmentOffer,
    JudgeApplication,
    KeepEnrolment,
    LookUp,
    MakeOffer,
    Practitioner,
    Practitioners,
)
from states.crypto.hashes import tagged_hash
from states.crypto.policy import One
from states.crypto.signatures import Signer, sign_evidence
from states.encoding import encode
from states.enrolment import SIGNED_ENROLMENT, Enrolment, SignedEnrolment, check_enrolment
from states.identity import Party, PatientId

OFFER_MS = 15 * 60_000
CODE_SIZE = 16
OFFER_AAD = b"enrolment-offer"

_ENROLMENT, _OFFER = table_of(EnrolmentRow), table_of(OfferRow)
_STAFF = table_of(PractitionerRow)
_ADD_ENROLMENT = sql(insert(_ENROLMENT).prefix_with("OR IGNORE"))
_BY_PATIENT = sql(
    select(_ENROLMENT.c.signed, _ENROLMENT.c.local).where(
        _ENROLMENT.c.patient == bindparam("patient"),
        _ENROLMENT.c.custodian == bindparam("custodian"),
    )
)
_BY_LOCAL = sql(
    select(_ENROLMENT.c.patient, _ENROLMENT.c.signed, _ENROLMENT.c.authority).where(
        _ENROLMENT.c.local == bindparam("local"), _ENROLMENT.c.custodian == bindparam("custodian")
    )
)
_SIGNED = sql(
    update(_ENROLMENT)
    .where(_ENROLMENT.c.patient == bindparam("id"), _ENROLMENT.c.custodian == bindparam("at"))
    .values(signed=bindparam("signed"), from_time=bindparam("from_time"))
)
_ADD_OFFER = sql(insert(_OFFER))
_GET_OFFER = sql(
    select(_OFFER.c.local, _OFFER.c.until, _OFFER.c.used_by).where(
        _OFFER.c.code_hash == bindparam("code_hash")
    )
)
_USE_OFFER = sql(
    update(_OFFER)
    .where(_OFFER.c.code_hash == bindparam("hash"))
    .values(used_by=bindparam("used_by"))
)
_USED_FOR = sql(select(_OFFER.c.local).where(_OFFER.c.used_by == bindparam("patient")))
_RIVALS = sql(
    select(_ENROLMENT.c.patient, _ENROLMENT.c.local, _ENROLMENT.c.signed)
    .where(
        _ENROLMENT.c.custodian == bindparam("custodian"),
        or_(
            _ENROLMENT.c.patient == bindparam("patient"),
            _ENROLMENT.c.local == bindparam("local"),
        ),
    )
    .union_all(
        select(_OFFER.c.used_by, _OFFER.c.local, null()).where(
            _OFFER.c.used_by == bindparam("patient")
        )
    )
)
_ADD_STAFF = sql(insert(_STAFF).prefix_with("OR REPLACE"))
_STAFF_NAMED = sql(
    select(_STAFF.c.person, _STAFF.c.shown_as, _STAFF.c.role)
    .where(_STAFF.c.shown_as == bindparam("name"), _STAFF.c.active == 1)
    .limit(16)
)
_STAFF_BY_ID = sql(
    select(_STAFF.c.person, _STAFF.c.shown_as, _STAFF.c.role).where(
        _STAFF.c.person == bindparam("person"), _STAFF.c.active == 1
    )
)


class NotEnrolled(NotYet):
    """No live enrolment is known here for this patient at this custodian."""


class Enrolments:
    """The enrolments of this node, whichever side it is on."""

    def __init__(self, me: Party, keys: KeyStore, entropy: Callable[[int], bytes]) -> None:
        self.me = me
        self._keys = keys
        self._entropy = entropy

    @staticmethod
    def create(db: Connection) -> None:
        for statement in creation(*ENROLMENT_TABLES):
            db.execute(statement)

    # -- reading -----------------------------------------------------------------------------------

    def of_patient(
        self, db: Connection, custodian: Party, patient: PatientId
    ) -> tuple[Enrolment, str]:
        """Return the live enrolment of a pairwise id, and this node's own name of her; raises NotEnrolled."""
        row = db.execute(_BY_PATIENT, {"patient": patient, "custodian": custodian}).fetchone()
        if row is None or row[0] is None:
            why = f"no patient {patient.hex()[:8]} is enrolled at {custodian}"
            raise NotEnrolled(why, enrolment_id(custodian, patient))
        return SIGNED_ENROLMENT.decode(row[0]).enrolment, row[1]

    def of_local(self, db: Connection, custodian: Party, local: str) -> Enrolment:
        """Return the live enrolment of a patient by this node's own name of her; raises NotEnrolled."""
        for _, signed, _ in db.execute(_BY_LOCAL, {"local": local, "custodian": custodian}):
            if signed is not None:
                return SIGNED_ENROLMENT.decode(signed).enrolment
        raise NotEnrolled(f"the patient is not enrolled at {custodian}")

    def name_of(self, db: Connection, patient: PatientId) -> str | None:
        """Return this custodian's own name of a patient whom another knows by this id, if she is enrolled here."""
        try:
            return self.of_patient(db, self.me, patient)[1]
        except NotEnrolled:
            return None

    def authority(self, patient: bytes, custodian: Party) -> Signer:
        """Return the signer of a patient of this agent at a custodian."""
        return HandleSigner(self._keys, AuthorityKey(patient, custodian))

    def add_practitioner(self, db: Connection, practitioner: Practitioner) -> None:
        row = {
            "person": practitioner.person,
            "shown_as": practitioner.shown_as,
            "role": practitioner.role,
            "active": 1,
        }
        db.execute(_ADD_STAFF, row)

    def practitioner(self, db: Connection, person: bytes) -> Practitioner | None:
        row = db.execute(_STAFF_BY_ID, {"person": person}).fetchone()
        return None if row is None else Practitioner(*row)

    def open_offer(self, offer: EnrolmentOffer) -> bytes:
        """Return the one-time code of an offer, for the staff that asked for it."""
        return self._keys.unwrap_at_rest(offer.wrapped, OFFER_AAD)

    def draw_patient(self) -> PatientId:
        """Draw a pairwise id."""
        return PatientId(self._entropy(CODE_SIZE))

    def pairwise(self, db: Connection, party: Party, local: str) -> PatientId:
        """Return this agent's id of a patient with a party, drawn at first: an enrolment there will take it over."""
        row = db.execute(_BY_LOCAL, {"local": local, "custodian": party}).fetchone()
        if row is not None:
            return PatientId(row[0])
        patient = self.draw_patient()
        authority = One(self.authority(bytes.fromhex(local), party).key)
        db.execute(
            _ADD_ENROLMENT,
            {
                "patient": patient,
                "custodian": party,
                "agent": self.me,
                "local": local,
                "authority": encode(authority),
                "signed": None,
                "from_time": 0,
            },
        )
        return patient

    # -- the custodian's side ----------------------------------------------------------------------

    def make_offer(self, step: Step, request: MakeOffer) -> EnrolmentOffer:
        code, until = self._entropy(CODE_SIZE), step.now + OFFER_MS
        row = {
            "code_hash": _code_hash(code),
            "local": request.local,
            "until": until,
            "used_by": None,
        }
        step.unit.execute(_ADD_OFFER, row)
        return EnrolmentOffer(self._keys.wrap_at_rest(code, OFFER_AAD), until)

    def look_up(self, step: Step, request: LookUp) -> Practitioners:
        rows = step.unit.execute(_STAFF_NAMED, {"name": request.name}).fetchall()
        return Practitioners(tuple(Practitioner(*row) for row in rows))


class EnrolmentHandlers:
    """Answers the flows of enrolment."""

    def __init__(
        self,
        ground: Ground,
        enrolments: Enrolments,
    ) -> None:
        self._book = enrolments
        self._ground = ground

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(MakeOffer, self._book.make_offer)
        handlers.on(LookUp, self._book.look_up)
        handlers.on(Apply, self.apply)
        handlers.on(JudgeApplication, self.judge)
        handlers.on(AcceptEnrolment, self.accept)
        handlers.on(KeepEnrolment, self.keep)

    def apply(self, step: Step, request: Apply) -> Application:
        """See Apply. The pairwise id is drawn once for a patient and custodian."""
        patient = self._book.pairwise(step.unit, request.custodian, request.patient.hex())
        authority = One(self._book.authority(request.patient, request.custodian).key)
        return Application(request.code, patient, authority)

    def judge(self, step: Step, request: JudgeApplication) -> CustodianSigned:
        """See JudgeApplication. One code, one patient; the same application again gets the same answer."""
        application, digest = request.application, _code_hash(request.application.code)
        row = step.unit.execute(_GET_OFFER, {"code_hash": digest}).fetchone()
        if row is None or step.now >= row[1] or row[2] not in (None, application.patient):
            raise FlowRefused(
                "code", "the one-time code is not valid; ask for a new one at the desk"
            )
        enrolment = Enrolment(
            self._book.me, application.patient, application.authority, request.agent, step.now
        )
        self._check_free(step, row[0], enrolment)
        step.unit.execute(_USE_OFFER, {"hash": digest, "used_by": application.patient})
        network = self._ground.in_force(step.now).network
        return CustodianSigned(
            enrolment, sign_evidence(self._ground.identity, network, encode(enrolment))
        )

    def _check_free(self, step: Step, local: str, wanted: Enrolment) -> None:
        """One live enrolment a patient, and one patient a pairwise id; the same one again changes nothing.

        Whoever has a code may name any id: without this it would take over the enrolment that has it.
        """
        names = {"patient": wanted.patient, "local": local, "custodian": self._book.me}
        for patient, other, signed in step.unit.execute(_RIVALS, names).fetchall():
            live = None if signed is None else SIGNED_ENROLMENT.decode(signed).enrolment
            same = live is None or (live.authority, live.agent) == (wanted.authority, wanted.agent)
            if (patient, other) != (wanted.patient, local) or not same:
                raise FlowRefused("enrolled", "the patient has a live enrolment here")

    def accept(self, step: Step, request: AcceptEnrolment) -> SignedEnrolment:
        """See AcceptEnrolment."""
        enrolment, asked = request.signed.enrolment, request.application
        if (enrolment.patient, enrolment.authority) != (asked.patient, asked.authority):
            raise FlowRefused("other-enrolment", "the custodian signed something else")
        if enrolment.agent != self._book.me:
            raise FlowRefused("other-agent", "the custodian named another agent")
        parameters = self._ground.in_force(step.now)
        signer = self._book.authority(request.patient, Party(enrolment.custodian))
        patient = sign_evidence(signer, parameters.network, encode(enrolment))
        signed = SignedEnrolment(enrolment, request.signed.custodian, (patient,))
        check_enrolment(signed, parameters, self._ground.directory)
        self._keep(step, signed)
        return signed

    def keep(self, step: Step, request: KeepEnrolment) -> Done:
        """See KeepEnrolment."""
        parameters = self._ground.in_force(step.now)
        enrolment = check_enrolment(request.signed, parameters, self._ground.directory)
        if (enrolment.custodian, enrolment.agent) != (self._book.me, request.agent):
            raise FlowRefused("other-enrolment", "the enrolment is between others")
        offered = step.unit.execute(_USED_FOR, {"patient": enrolment.patient}).fetchone()
        if offered is None:
            raise FlowRefused("code", "no one-time code was used for this patient")
        self._check_free(step, offered[0], enrolment)
        row = {
            "patient": enrolment.patient,
            "custodian": self._book.me,
            "agent": enrolment.agent,
            "local": offered[0],
            "authority": encode(enrolment.authority),
            "signed": None,
            "from_time": 0,
        }
        step.unit.execute(_ADD_ENROLMENT, row)
        self._keep(step, request.signed)
        return Done()

    @staticmethod
    def _keep(step: Step, signed: SignedEnrolment) -> None:
        enrolment = signed.enrolment
        step.unit.execute(
            _SIGNED,
            {
                "id": enrolment.patient,
                "at": enrolment.custodian,
                "signed": encode(signed),
                "from_time": enrolment.from_time,
            },
        )


def enrolment_id(custodian: Party, patient: PatientId) -> bytes:
    """Return by what a refusal names an enrolment that may still come."""
    return tagged_hash("enrolment-id", custodian.encode() + patient)


def _code_hash(code: bytes) -> bytes:
    return tagged_hash("enrolment-code", code)
