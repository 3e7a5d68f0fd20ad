"""Which faults must meet which messages of which conversations, and which cannot (with the reason)."""

from tests.simulation.faults import ON_MESSAGES, ON_NODES, ON_QUESTIONS, Fault, Met

PER_1000 = 20
IN_TURNS = (*ON_MESSAGES, *(fault for fault in ON_NODES if fault is not Fault.RESTORED))

CONVERSATIONS: dict[str, tuple[str, ...]] = {
    "enrol-patient/1": ("INIT", "DATA", "END"),
    "request-disclosure/1": ("INIT", "DATA", "END"),
    "transfer-custody/1": ("INIT", "DATA", "END", "ERROR"),
    "find-practitioner/1": ("INIT", "DATA", "END", "ERROR"),
    "recover/1": ("INIT", "DATA", "END"),
    "obtain-keys/1": ("INIT", "DATA", "END"),
    "publish-records/1": ("LETTER",),
    "amend-record/1": ("LETTER",),
    "grant-consent/1": ("LETTER",),
    "amend-consent/1": ("LETTER",),
    "revoke-consent/1": ("LETTER",),
    "restrict/1": ("LETTER",),
    "lift-restriction/1": ("LETTER",),
    "take-delivery/1": ("LETTER",),
    "make-disclosure/1": ("LETTER",),
}
"""Each flow that begins conversations, and the kinds of message in them."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "publish-records/1": ("notarise",),
    "amend-record/1": ("notarise",),
    "grant-consent/1": ("notarise",),
    "amend-consent/1": ("notarise",),
    "revoke-consent/1": ("notarise",),
    "restrict/1": ("notarise",),
    "lift-restriction/1": ("notarise",),
    "make-disclosure/1": ("notarise", "liveness"),
    "transfer-custody/1": ("notarise",),
}
"""Each flow that asks a notary, and what."""

UNREACHABLE = {
    "INIT and DATA of flows that write letters": "publishing, consenting and restricting open no session",
    "REJECT of a conversation": "a REJECT follows only on an INIT that was taken before its sender was restored, or on"
    " an unknown responder (which only the malicious peer names); it is counted and not asserted",
    "ERROR of enrol-patient/1, request-disclosure/1, recover/1": "a refusal to disclose is DATA; an ERROR comes"
    " only where a side was restored in the middle; counted and not asserted",
    "status of request-disclosure/1, take-custody/1": "asked only where a receipt did not come within its window;"
    " counted and not asserted",
    "restored x messages": "an image takes back all that a turn took: counted by the turn that it ended",
}


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
    }
)
"""So few of these come by that faults lie in wait for them: else 1,000 seeds would meet too few."""

SCARCE_TIMES = 4


def often(kind: str, name: str) -> int:
    """How many times as often as others such a message or question is struck."""
    return SCARCE_TIMES if (kind, name) in SCARCE else 1


def missing(met: Met, seeds: int, floor: int = PER_1000) -> list[str]:
    """Return the combinations that were met less often than `floor` times in 1,000 seeds, in proportion."""
    wanted = [
        (fault, kind, name)
        for kinds_of, faults in ((CONVERSATIONS, IN_TURNS), (QUESTIONS, ON_QUESTIONS))
        for name, kinds in kinds_of.items()
        for kind in kinds
        for fault in faults
    ]
    return [
        f"{' x '.join(each)}: {met[each]}" for each in wanted if met[each] < floor * seeds // 1_000
    ]
