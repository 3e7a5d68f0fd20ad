"""Who is asking."""

from datetime import datetime

import strawberry

from app.graphql.schema.context import Info
from app.graphql.schema.flow import Practitioner
from app.graphql.schema.party import Party, party_of
from app.graphql.schema.patient import Patient, patient_named
from app.graphql.schema.policy import Reach, Subject


@strawberry.type(description="The signed-in user.")
class Viewer:
    """As this node knows her."""

    user: str = strawberry.field(description="Her user id.")
    role: str = strawberry.field(
        description="patient, clinician, privacy officer, operator or auditor."
    )
    organisation: Party = strawberry.field(description="The member whose node this is.")
    signed_in_until: datetime = strawberry.field(description="When the session ends.")
    sees: list[str] = strawberry.field(description="The subjects of which she sees anything.")
    practitioner: Practitioner | None = strawberry.field(
        description="Her entry in the staff directory, if she is a clinician here."
    )
    patient: Patient | None = strawberry.field(
        description="Herself, if she is a patient who is enrolled somewhere."
    )


def me(info: Info) -> Viewer:
    context = info.context
    viewer, session = context.viewer, context.caller.session
    practitioner = None
    if viewer.staff_role:
        api = context.api
        known = api.assembly.enrolments.practitioner(api.assembly.db, viewer.person_bytes)
        if known is not None:
            practitioner = Practitioner(
                person=known.person.hex(), shown_as=known.shown_as, role=known.role
            )
    own = viewer.reach(Subject.PATIENT) is Reach.OWN
    return Viewer(
        user=session.user_id,
        role=session.role.value,
        organisation=party_of(context, viewer.me),
        signed_in_until=session.expires,
        sees=[each.value for each in Subject if viewer.reach(each) is not Reach.NOTHING],
        practitioner=practitioner,
        patient=patient_named(context, viewer.person) if own else None,
    )
