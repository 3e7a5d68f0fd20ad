"""Enrolments and the staff directory of a node: who is whose patient, and by which key she speaks."""

from collections.abc import Callable, Iterator
from sqlite3 import Connection

from sqlalchemy import bindparam, null, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.keystore.keys import AuthorityKey, KeyStore
from app.keystore.signers import HandleSigner
from app.rows.tables import ENROLMENT_TABLES, EnrolmentRow, OfferRow, PractitionerRow
from app.storage.statements import creation, sql, table_of
from app.vault.ground import Ground
from app.vault.reader import NotEnrolled
from app.vault.statements import HAS_COME
from app.vault.subject import Step
from flows.flow import FlowRefused
from flows.services import Done
from flows.step import Handlers
from flows.subjects.enrolment import (
    AcceptEnrolment,
    Application,
    Apply,
    ConfirmKept,
    CustodianSigned,
    EnrolmentOffer,
    JudgeApplication,
    KeepEnrolment,
    Kept,
    LookUp,
    MakeOffer,
    NoteKept,
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
KEEPSAKE_STEP = 64  # bytes: a keepsake tells its holder nearly nothing of the length of a name

_ENROLMENT, _OFFER = table_of(EnrolmentRow), table_of(OfferRow)
_STAFF = table_of(PractitionerRow)
_ADD_ENROLMENT = sql(insert(_ENROLMENT).prefix_with("OR IGNORE"))
_BY_PATIENT = sql(
    select(_ENROLMENT.c.signed, _ENROLMENT.c.local, _ENROLMENT.c.keepsake).where(
        _ENROLMENT.c.patient == bindparam("patient"),
        _ENROLMENT.c.custodian == bindparam("custodian"),
    )
)
_BY_LOCAL = sql(
    select(_ENROLMENT.c.patient, _ENROLMENT.c.signed, _ENROLMENT.c.keepsake)
    .where(
        _ENROLMENT.c.local == bindparam("local"), _ENROLMENT.c.custodian == bindparam("custodian")
    )
    .order_by(_ENROLMENT.c.keepsake.is_(None), _ENROLMENT.c.signed.is_(None), _ENROLMENT.c.patient)
)
_SIGNED = sql(
    update(_ENROLMENT)
    .where(_ENROLMENT.c.patient == bindparam("id"), _ENROLMENT.c.custodian == bindparam("at"))
    .values(signed=bindparam("signed"), from_time=bindparam("from_time"))
)
_HERE = sql(
    select(_ENROLMENT.c.patient).where(
        _ENROLMENT.c.custodian == bindparam("me"), _ENROLMENT.c.signed.is_not(None)
    )
)
_KEPT = sql(
    update(_ENROLMENT)
    .where(_ENROLMENT.c.patient == bindparam("id"), _ENROLMENT.c.custodian == bindparam("at"))
    .values(keepsake=bindparam("given"))
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
_KEPT_RIVALS = select(_ENROLMENT.c.patient, _ENROLMENT.c.local, _ENROLMENT.c.signed).where(
    _ENROLMENT.c.custodian == bindparam("custodian"),
    or_(_ENROLMENT.c.patient == bindparam("patient"), _ENROLMENT.c.local == bindparam("local")),
)
_APPLIED = select(_OFFER.c.used_by, _OFFER.c.local, null()).where(
    _OFFER.c.used_by == bindparam("patient")
)
_RIVALS = {True: sql(_KEPT_RIVALS), False: sql(_KEPT_RIVALS.union_all(_APPLIED))}
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
        """Return the enrolment of a pairwise id that both signed, and this node's own name of her; raises NotEnrolled.

        An agent believes what comes by it before it has heard that the custodian kept it: whoever brings it knows.
        """
        row = db.execute(_BY_PATIENT, {"patient": patient, "custodian": custodian}).fetchone()
        if row is None or row[0] is None:
            why = f"no patient {patient.hex()[:8]} is enrolled at {custodian}"
            raise NotEnrolled(why, enrolment_id(custodian, patient))
        return SIGNED_ENROLMENT.decode(row[0]).enrolment, row[1]

    def of_local(self, db: Connection, custodian: Party, local: str) -> Enrolment:
        """Return the live enrolment of a patient by this node's own name of her; raises NotEnrolled.

        At an agent it lives when the custodian has said that it kept it: a statement by any other reaches nobody.
        """
        for _, signed, keepsake in db.execute(_BY_LOCAL, {"local": local, "custodian": custodian}):
            if signed is not None and (custodian == self.me or keepsake is not None):
                return SIGNED_ENROLMENT.decode(signed).enrolment
        raise NotEnrolled(f"the patient is not enrolled at {custodian}")

    def agents_of(self, db: Connection, local: str) -> frozenset[str]:
        """Return the agents through which a patient of this custodian is enrolled."""
        rows = db.execute(_BY_LOCAL, {"local": local, "custodian": self.me})
        return frozenset(
            SIGNED_ENROLMENT.decode(signed).enrolment.agent
            for _, signed, _ in rows
            if signed is not None
        )

    def patients_here(self, db: Connection) -> Iterator[PatientId]:
        """Yield the names between this custodian and the agents of all its patients."""
        for (patient,) in db.execute(_HERE, {"me": self.me}).fetchall():
            yield PatientId(patient)

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
        self._add_pairwise(db, party, local, patient)
        return patient

    def learn_pairwise(self, db: Connection, party: Party, local: str, patient: PatientId) -> None:
        """Take over an id that a patient's own statement names, where a restored agent forgot that it drew it."""
        if db.execute(_BY_LOCAL, {"local": local, "custodian": party}).fetchone() is None:
            self._add_pairwise(db, party, local, patient)

    def _add_pairwise(self, db: Connection, party: Party, local: str, patient: PatientId) -> None:
        authority = One(self.authority(bytes.fromhex(local), party).key)
        self._add(db, (party, patient, self.me), local, encode(authority))

    @staticmethod
    def _add(db: Connection, names: tuple[str, bytes, str], local: str, authority: bytes) -> None:
        custodian, patient, agent = names
        row = {"patient": patient, "custodian": custodian, "agent": agent, "local": local}
        unsigned = {"signed": None, "keepsake": None, "from_time": 0}
        db.execute(_ADD_ENROLMENT, row | {"authority": authority} | unsigned)

    # -- both sides ----------------------------------------------------------------------------------

    def keep(self, step: Step, signed: SignedEnrolment, local: str, keepsake: bytes | None) -> None:
        """Keep an enrolment that was checked, under this node's own name of the patient."""
        enrolment = signed.enrolment
        names = enrolment.custodian, enrolment.patient, enrolment.agent
        self._add(step.unit, names, local, encode(enrolment.authority))
        what = {"id": enrolment.patient, "at": enrolment.custodian}
        step.unit.execute(
            _SIGNED, what | {"signed": encode(signed), "from_time": enrolment.from_time}
        )
        if keepsake is not None:
            step.unit.execute(_KEPT, what | {"given": keepsake})
        custodian, patient = Party(enrolment.custodian), PatientId(enrolment.patient)
        step.unit.execute(HAS_COME, {"what": enrolment_id(custodian, patient)})
        step.unit.execute(HAS_COME, {"what": any_enrolment(custodian)})

    # -- the custodian's side ----------------------------------------------------------------------

    def keepsake(self, signed: SignedEnrolment, local: str) -> bytes:
        """Return this custodian's own name of a patient, sealed for itself and bound to the enrolment that it keeps."""
        said = local.encode()
        padded = len(said).to_bytes(2, "big") + said
        padded += bytes(-len(padded) % KEEPSAKE_STEP)
        return self._keys.wrap_at_rest(padded, _keepsake_aad(signed))

    def open_keepsake(self, signed: SignedEnrolment, keepsake: bytes) -> str:
        """Return the name in a keepsake; WrapRefused unless this custodian made it when it kept this enrolment."""
        padded = self._keys.unwrap_at_rest(keepsake, _keepsake_aad(signed))
        return padded[2 : 2 + int.from_bytes(padded[:2], "big")].decode()

    def check_free(
        self, step: Step, local: str, wanted: Enrolment, *, was_kept: bool = False
    ) -> None:
        """One live enrolment a patient, and one patient a pairwise id; the same one again changes nothing.

        Whoever has a code may name any id: without this it would take over the enrolment that has it. An enrolment
        that `was_kept` before a restore comes before a code that was used since and led to none yet. Raises
        FlowRefused.
        """
        names = {"patient": wanted.patient, "local": local, "custodian": self.me}
        for patient, other, signed in step.unit.execute(_RIVALS[was_kept], names).fetchall():
            live = None if signed is None else SIGNED_ENROLMENT.decode(signed).enrolment
            same = live is None or (live.authority, live.agent) == (wanted.authority, wanted.agent)
            if (patient, other) != (wanted.patient, local) or not same:
                raise FlowRefused("enrolled", "the patient has a live enrolment here")

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
        handlers.on(NoteKept, self.note_kept)
        handlers.on(ConfirmKept, self.confirm_kept)

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
        self._book.check_free(step, row[0], enrolment)
        step.unit.execute(_USE_OFFER, {"hash": digest, "used_by": application.patient})
        network = self._ground.in_force(step.now).network
        return CustodianSigned(
            enrolment, sign_evidence(self._ground.identity, network, encode(enrolment))
        )

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
        known = step.unit.execute(
            _BY_PATIENT, {"patient": enrolment.patient, "custodian": enrolment.custodian}
        ).fetchone()
        if known is None or known[2] is None:  # else what was kept stays, until this one is
            self._book.keep(step, signed, request.patient.hex(), None)
        return signed

    def keep(self, step: Step, request: KeepEnrolment) -> Kept:
        """See KeepEnrolment."""
        parameters = self._ground.in_force(step.now)
        enrolment = check_enrolment(request.signed, parameters, self._ground.directory)
        if (enrolment.custodian, enrolment.agent) != (self._book.me, request.agent):
            raise FlowRefused("other-enrolment", "the enrolment is between others")
        offered = step.unit.execute(_USED_FOR, {"patient": enrolment.patient}).fetchone()
        if offered is None:
            raise FlowRefused("code", "no one-time code was used for this patient")
        self._book.check_free(step, offered[0], enrolment)
        self._book.keep(step, request.signed, offered[0], None)
        return Kept(self._book.keepsake(request.signed, offered[0]))

    def note_kept(self, step: Step, request: NoteKept) -> Done:
        """See NoteKept."""
        self._book.keep(step, request.signed, request.patient.hex(), request.kept.keepsake)
        return Done()

    def confirm_kept(self, step: Step, request: ConfirmKept) -> Done:
        """See ConfirmKept."""
        what = {"patient": request.patient, "custodian": request.custodian}
        row = step.unit.execute(_BY_PATIENT, what).fetchone()
        if row is None or row[2] is None:
            raise FlowRefused(
                "not-kept", "the custodian has lost it; ask for a new code at its desk"
            )
        return Done()


def enrolment_id(custodian: Party, patient: PatientId) -> bytes:
    """Return by what a refusal names an enrolment that may still come."""
    return tagged_hash("enrolment-id", custodian.encode() + patient)


def any_enrolment(custodian: Party) -> bytes:
    """Return by what a refusal names that one of a custodian's enrolments may still come, it cannot say which."""
    return tagged_hash("enrolment-any", custodian.encode())


def _code_hash(code: bytes) -> bytes:
    return tagged_hash("enrolment-code", code)


def _keepsake_aad(signed: SignedEnrolment) -> bytes:
    return tagged_hash("enrolment-keepsake", encode(signed))
