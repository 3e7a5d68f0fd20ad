"""Every kind of thing that has an id, and what finds it."""

from app.graphql.schema import (
    consent,
    disclosure,
    flow,
    party,
    patient,
    permitting,
    reading,
    record,
    request,
    restriction,
    state,
    transaction,
)
from app.graphql.schema.node import Finders

FINDERS = Finders(
    {
        party.KIND: party.find_party,
        patient.KIND: patient.find_patient,
        record.KIND: record.find_record,
        consent.KIND: consent.find_consent,
        restriction.KIND: restriction.find_restriction,
        disclosure.KIND: disclosure.find_disclosure,
        disclosure.ITEM_KIND: disclosure.find_item,
        request.KIND: request.find_request,
        reading.LOOK_KIND: reading.find_look,
        reading.ALARM_KIND: reading.find_alarm,
        reading.READING_KIND: reading.find_reading,
        transaction.KIND: transaction.find_transaction,
        state.KIND: state.find_state,
        flow.KIND: flow.find_flow,
        permitting.KIND: permitting.find_permit,
    }
)
