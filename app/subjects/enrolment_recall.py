"""Enrolments brought back after a restore: what each side may believe of what the other brings.

A custodian signs an enrolment before the patient does, so its signature does not say that it kept it; and only its own
books had its name of her. So when it keeps one it gives the agent a *keepsake*: its name of the patient, sealed for
itself and bound to the signed enrolment. Nobody else can make one or read it. The agent needs none: it believes an
enrolment that a key derived from one of its own patients' seeds signed, and that names its patient.
"""

from sqlite3 import Connection

import msgspec
from sqlalchemy import and_, bindparam, or_, select

from app.blobs.errors import WrapRefused
from app.keystore.keys import KeyStore
from app.rows.tables import EnrolmentRow
from app.storage.statements import sql, table_of
from app.subjects.enrolment import Enrolments
from app.vault.ground import Ground
from app.vault.ledger_handlers import part_of
from app.vault.reader import NotEnrolled
from app.vault.subject import Step
from flows.enrolment_recall import FindEnrolments, FoundEnrolments, TakeEnrolments
from flows.flow import FlowRefused
from flows.step import Handlers
from flows.subjects.enrolment import KEEPSAKE_MAX
from states.crypto.policy import One, Policy
from states.encoding import Codec, encode
from states.enrolment import SIGNED_ENROLMENT, Enrolment, SignedEnrolment, check_enrolment
from states.errors import MalformedBytes
from states.identity import Party, PatientId

PAGE_MAX = 512
PAGE_BYTES_MAX = 1 << 19

_E = table_of(EnrolmentRow)
_NEXT = sql(
    select(_E.c.patient, _E.c.custodian, _E.c.signed, _E.c.keepsake, _E.c.local)
    .where(
        _E.c.patient > bindparam("after"),
        _E.c.signed.is_not(None),
        or_(
            and_(_E.c.custodian == bindparam("me"), _E.c.agent == bindparam("peer")),
            and_(
                _E.c.custodian == bindparam("peer"),
                _E.c.agent == bindparam("me"),
                _E.c.keepsake.is_not(None),
            ),
        ),
    )
    .order_by(_E.c.patient)
    .limit(PAGE_MAX)
)
_KNOWN = sql(
    select(_E.c.local, _E.c.signed, _E.c.keepsake).where(
        _E.c.patient == bindparam("patient"), _E.c.custodian == bindparam("custodian")
    )
)


class BroughtEnrolment(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="brought/1"
):
    """An enrolment and the custodian's keepsake of it."""

    signed: SignedEnrolment
    keepsake: bytes


PAGE: Codec[tuple[BroughtEnrolment, ...]] = Codec(
    tuple[BroughtEnrolment, ...], "enrolments", PAGE_BYTES_MAX + (1 << 16)
)


class EnrolmentRecall:
    """Both sides' answers to the flows that bring enrolments back."""

    def __init__(self, ground: Ground, enrolments: Enrolments) -> None:
        self._ground = ground
        self._book = enrolments
        self._keys: KeyStore = ground.keys

    def register(self, handlers: Handlers[Connection]) -> None:
        handlers.on(FindEnrolments, self.find)
        handlers.on(TakeEnrolments, self.take)

    def find(self, step: Step, request: FindEnrolments) -> FoundEnrolments:
        """See FindEnrolments. A custodian makes a keepsake anew: the agent may have lost that as well."""
        names = {"me": self._ground.me, "peer": request.peer, "after": request.after}
        page: list[BroughtEnrolment] = []
        size = 0
        for _, custodian, data, keepsake, local in step.unit.execute(_NEXT, names):
            size += len(data) + KEEPSAKE_MAX
            if page and size > PAGE_BYTES_MAX:
                break
            signed = SIGNED_ENROLMENT.decode(data)
            if custodian == self._ground.me:
                page.append(BroughtEnrolment(signed, self._book.keepsake(signed, local)))
            else:
                page.append(BroughtEnrolment(signed, keepsake))
        if not page:
            return FoundEnrolments()
        return FoundEnrolments(
            step.put_part(encode(tuple(page))), page[-1].signed.enrolment.patient
        )

    def take(self, step: Step, request: TakeEnrolments) -> FoundEnrolments:
        """See TakeEnrolments."""
        page = PAGE.decode(part_of(step, request.part))
        last, handles = request.after, dict[Policy, bytes]()
        for brought in page:
            enrolment = brought.signed.enrolment
            if enrolment.patient <= last:
                raise MalformedBytes("enrolments", "their patients do not ascend")
            last = enrolment.patient
            sides = enrolment.custodian, enrolment.agent
            if sides == (self._ground.me, request.peer):
                self._take_as_custodian(step, brought)
            elif sides == (request.peer, self._ground.me):
                self._take_as_agent(step, brought, handles)
            else:
                raise MalformedBytes("enrolments", "one is between others")
        if not page:
            raise MalformedBytes("enrolments", "a page without any")
        step.drop_part(request.part)  # there may be as many pages as the peer likes
        return FoundEnrolments(last=last)

    def _take_as_custodian(self, step: Step, brought: BroughtEnrolment) -> None:
        enrolment = self._check(step, brought.signed)
        row = self._row(step, enrolment)
        if row is not None and row[1] is not None:
            return
        try:
            local = self._book.open_keepsake(brought.signed, brought.keepsake)
            self._book.check_free(step, local, enrolment, was_kept=True)
        except (WrapRefused, FlowRefused):
            return  # never kept here, or another enrolment has taken its place meanwhile
        self._book.keep(step, brought.signed, local, None)

    def _take_as_agent(
        self, step: Step, brought: BroughtEnrolment, handles: dict[Policy, bytes]
    ) -> None:
        enrolment = self._check(step, brought.signed)
        custodian = Party(enrolment.custodian)
        row = self._row(step, enrolment)
        if row is not None and row[2] is not None:
            return
        if not 0 < len(brought.keepsake) <= KEEPSAKE_MAX:
            raise MalformedBytes("enrolments", "a keepsake of no possible size")
        if not handles:
            handles |= {
                One(self._book.authority(patient, custodian).key): patient
                for patient in self._keys.patients()
            }
        handle = handles.get(enrolment.authority)
        if handle is None or (row is not None and row[0] != handle.hex()):
            return  # a name says nothing: whoever is a grantee of hers was told one
        if not self._is_enrolled(step, custodian, handle.hex()):
            self._book.keep(step, brought.signed, handle.hex(), brought.keepsake)

    def _is_enrolled(self, step: Step, custodian: Party, local: str) -> bool:
        try:
            self._book.of_local(step.unit, custodian, local)
        except NotEnrolled:
            return False
        return True

    def _check(self, step: Step, signed: SignedEnrolment) -> Enrolment:
        return check_enrolment(signed, self._ground.in_force(step.now), self._ground.directory)

    def _row(
        self, step: Step, enrolment: Enrolment
    ) -> tuple[str, bytes | None, bytes | None] | None:
        named = {"patient": PatientId(enrolment.patient), "custodian": enrolment.custodian}
        row: tuple[str, bytes | None, bytes | None] | None
        row = step.unit.execute(_KNOWN, named).fetchone()
        return row
