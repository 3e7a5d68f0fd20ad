"""Which faults must meet which messages of which conversations, and which cannot (with the reason)."""

from collections import Counter

from app.subjects.catalogue import SUBJECTS
from tests.simulation.faults import ON_MESSAGES, ON_NODES, ON_QUESTIONS, Fault, Met

PER_1000 = 20
IN_TURNS = (*ON_MESSAGES, *(fault for fault in ON_NODES if fault is not Fault.RESTORED))

NAMES = frozenset(
    name
    for subject in SUBJECTS
    for name in (
        *(str(flow.__struct_config__.tag) for flow in subject.flows),
        *(responder.name for responder in subject.responders),
    )
)
"""Every flow and responder of the network."""

CONVERSATIONS: dict[str, tuple[str, ...]] = {
    "enrol-patient/1": ("INIT", "DATA", "END", "ERROR"),
    "request-disclosure/1": ("INIT", "DATA", "END", "LETTER"),
    "transfer-custody/1": ("INIT", "DATA", "END", "ERROR"),
    "find-practitioner/1": ("INIT", "DATA", "END", "ERROR"),
    "recover/1": ("INIT", "DATA", "END", "LETTER"),
    "regain-readings/1": ("INIT", "DATA", "END"),
    "obtain-keys/1": ("INIT", "DATA", "END"),
    "fetch-own/1": ("INIT", "DATA", "END"),
    "publish-records/1": ("LETTER",),
    "amend-record/1": ("LETTER",),
    "grant-consent/1": ("LETTER",),
    "amend-consent/1": ("LETTER",),
    "revoke-consent/1": ("LETTER",),
    "restrict/1": ("LETTER",),
    "lift-restriction/1": ("LETTER",),
    "take-delivery/1": ("LETTER",),
    "make-disclosure/1": ("LETTER",),
    "heed-at-once/1": ("LETTER",),
    "answer-introduce/1": ("LETTER",),
    "report-readings/1": ("LETTER",),
    "report-heads/1": ("LETTER",),
    "release-to-patient/1": ("LETTER",),
}
"""Each flow or responder that begins conversations, and the kinds of message in them."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "publish-records/1": ("notarise",),
    "amend-record/1": ("notarise",),
    "grant-consent/1": ("notarise",),
    "amend-consent/1": ("notarise",),
    "revoke-consent/1": ("notarise",),
    "restrict/1": ("notarise",),
    "lift-restriction/1": ("notarise",),
    "make-disclosure/1": ("notarise", "liveness"),
    "request-disclosure/1": ("status",),
    "transfer-custody/1": ("notarise",),
    "confirm-consents/1": ("liveness",),
}
"""Each flow that asks a notary, and what."""

ONLY_ANSWERS = frozenset(
    {
        "answer-application/1",
        "answer-who-is/1",
        "ask-readings/1",
        "give-own/1",
        "give-patient-keys/1",
        "give-transactions/1",
        "note-in-force/1",
        "note-introduction/1",
        "note-keys-ready/1",
        "note-superseded/1",
        "note-withdrawn/1",
        "remind/1",
        "remind-enrolments/1",
        "remind-readings/1",
        "return-keys/1",
        "show-consumed/1",
        "take-readings/1",
        "tell-again/1",
    }
)
"""Responders that begin no conversation and ask no notary: what they say is in those of others."""

NOT_ASSERTED = {
    "offer-enrolment/1": "it speaks to nobody",
    "bind-at-start/1": "it speaks to nobody but by letters of others: test_denial_begins",
    "change-notary/1": "the simulated network has one notary; test_notary_change has two, and its crashes",
    "note-entry/1": "as change-notary/1",
    "regain-keys/1": "a custodian must have lost a publication whose patient's agent has its keys: test_key_return",
    "confirm-disclosures/1": "a recipient that holds disclosures must have been restored: test_confirmation",
    "take-custody/1": "it asks and delivers by itself only where the old custodian's receipt does not come in time",
    "status of take-custody/1, make-disclosure/1, transfer-custody/1": "only where no receipt comes within its window",
    "LETTER of transfer-custody/1": "most transfers come to their end only when all is healed",
    "ERROR of fetch-own/1, obtain-keys/1": "whoever takes one writes so little that few die within it",
    "INIT and DATA of take-delivery/1": "what a delivery rests on is lacking only after a restore",
    "INIT and DATA of flows that write letters": "publishing, consenting and restricting open no session",
    "REJECT of a conversation": "it follows only on an INIT that was taken before its sender was restored, or on an"
    " unknown responder (which only the malicious peer names)",
    "ERROR of request-disclosure/1, recover/1": "a refusal to disclose is DATA; an ERROR comes only"
    " where a side was restored in the middle",
    "restored x messages": "an image takes back all that a turn took: counted by the restart that it ended in",
}
"""What is counted where it happens, and need not happen, and why."""

TOTALS = {Fault.RESTORED: 400, Fault.PARKED: 5_000, Fault.SKEW: 800, Fault.MALLORY: 40_000}
"""Restarts from images, parked flows, wrong clocks, and what a stranger says, in 1,000 seeds."""

AT_GATES = {
    **{("opened", "disclosed", where): 10 for where in ("usual", "cut off", "restored")},
    **{
        ("opened", path, w): 100
        for path in ("own", "hers")
        for w in ("usual", "cut off", "restored")
    },
    **{("interrupted", path, "-"): 30 for path in ("disclosed", "own", "hers")},
    ("refused", "disclosed", "CONSENT_LIVES"): 100,
    ("refused", "disclosed", "NOT_WITHDRAWN"): 10,
    ("refused", "own", "NOT_CLOSED"): 10,
    ("refused", "hers", "NOT_WITHHELD"): 50,
}
"""What comes of readings, in 1,000 seeds: without them the oracle's rules about gates would hold of nothing."""

OFTEN_TIMES = 3  # the floor: what is met so often, and not asserted, has been forgotten


SCARCE = frozenset(
    {
        ("LETTER", "lift-restriction/1"),
        ("LETTER", "make-disclosure/1"),
        ("liveness", "make-disclosure/1"),
        ("LETTER", "amend-consent/1"),
        ("LETTER", "amend-record/1"),
        ("LETTER", "restrict/1"),
        ("END", "request-disclosure/1"),
        ("END", "transfer-custody/1"),
        ("ERROR", "transfer-custody/1"),
        ("END", "find-practitioner/1"),
        ("ERROR", "find-practitioner/1"),
        ("END", "obtain-keys/1"),
        ("LETTER", "answer-introduce/1"),
        ("LETTER", "release-to-patient/1"),
        ("LETTER", "report-heads/1"),
        ("LETTER", "request-disclosure/1"),
        ("LETTER", "heed-at-once/1"),
        ("DATA", "transfer-custody/1"),
        ("END", "fetch-own/1"),
        ("notarise", "transfer-custody/1"),
        ("status", "request-disclosure/1"),
        ("liveness", "confirm-consents/1"),
    }
)
"""So few of these come by that faults lie in wait for them: else 1,000 seeds would meet too few."""

SCARCE_TIMES = 4


def often(kind: str, name: str) -> int:
    """How many times as often as others such a message or question is struck."""
    return SCARCE_TIMES if (kind, name) in SCARCE else 1


def missing(met: Met, seeds: int, floor: int = PER_1000) -> list[str]:
    """Return what was met less often than so many times in 1,000 seeds, in proportion."""
    wanted: dict[tuple[str, str, str], int] = {
        (fault, *pair): PER_1000 for pair in asserted() for fault in _faults(pair[0])
    }
    wanted |= AT_GATES | {(fault, "in", "all"): least for fault, least in TOTALS.items()}
    counted = met + Counter({(fault, "in", "all"): _total(met, fault) for fault in TOTALS})
    return [
        f"{' x '.join(each)}: {counted[each]}"
        for each, least in wanted.items()
        if counted[each] < least * floor * seeds // (PER_1000 * 1_000)
    ]


def forgotten(met: Met, seeds: int) -> list[str]:
    """Return the messages and questions that are met so often, under each fault, that they should be asserted."""
    least = OFTEN_TIMES * PER_1000 * seeds / 1_000
    begun = {(kind, name) for fault, kind, name in met if fault in (*IN_TURNS, *ON_QUESTIONS)}
    return [
        f"{kind} x {name}"
        for kind, name in sorted(begun - asserted())
        if name in NAMES and all(met[fault, kind, name] >= least for fault in _faults(kind))
    ]


def asserted() -> set[tuple[str, str]]:
    """Return each kind of message or question with the flow that began the conversation, or asks."""
    said = (*CONVERSATIONS.items(), *QUESTIONS.items())
    return {(kind, name) for name, kinds in said for kind in kinds}


def _faults(kind: str) -> tuple[Fault, ...]:
    return IN_TURNS if kind.isupper() else ON_QUESTIONS


def _total(met: Met, fault: Fault) -> int:
    own = {Fault.RESTORED: "restart"}.get(fault)
    return sum(
        count for (each, kind, _), count in met.items() if each == fault and own in (None, kind)
    )
