"""Requests to a notary, and the shapes of what travels: §3.2, §3.3, §5.1, §6.1, §6.2."""

from tests.vectors.second import ed25519
from tests.vectors.second.cases import ledger
from tests.vectors.second.cases.case import Case, accepted, did, key_of, refused, seeded
from tests.vectors.second.cases.policies import one
from tests.vectors.second.cases.receipts import ORIGIN
from tests.vectors.second.cases.tearoffs import everything, of_groups
from tests.vectors.second.components import LOCKS, OUTPUTS, WINDOW
from tests.vectors.second.digests import spender
from tests.vectors.second.fields import Object
from tests.vectors.second.keys import policy_digest
from tests.vectors.second.msgpack import Value, encode
from tests.vectors.second.signatures import lock_signature_digest
from tests.vectors.second.spending import OwnLock
from tests.vectors.second.transaction import Transaction

_ISSUE, _MANY = ledger.ISSUE, ledger.MANY
# Consumes one state of each of two transactions, refers to a third.
_SPEND = ledger.transaction(
    "request",
    outputs=1,
    inputs=(encode((_ISSUE.id(), 0)), encode((_MANY.id(), 5))),
    references=(encode((_MANY.id(), 6)),),
    sealed=(ledger.seal("request", (2, 0)),),
)
_FIRST, _SECOND, _THIRD = (ledger.locked(name) for name in ("issue 0", "many 5", "many 6"))


def _torn(whole: Transaction, index: int) -> Value:
    return whole.tear_off([0, whole.position(LOCKS, index)]).value


_SPENDS: tuple[Value, ...] = (
    (_FIRST.salt, _FIRST.policy.value, 7, _torn(_ISSUE, 0)),
    (_SECOND.salt, _SECOND.policy.value, 8, _torn(_MANY, 5)),
)
_REFERS: tuple[Value, ...] = ((_THIRD.salt, policy_digest(_THIRD.policy), 8, _torn(_MANY, 6)),)


def _signed(own: OwnLock, whole: Transaction = _SPEND, network: bytes = ledger.NETWORK) -> Value:
    digest = lock_signature_digest(network, whole.id())
    return (own.policy.key.value, ed25519.sign(own.seed, digest))


def _shown(whole: Transaction = _SPEND) -> list[int]:
    return of_groups(whole, 0, 1, 7, 8, 9)


def _request(
    positions: list[int] | None = None,
    spends: tuple[Value, ...] = _SPENDS,
    refers: tuple[Value, ...] = _REFERS,
    signatures: tuple[Value, ...] | None = None,
) -> Object:
    torn = _SPEND.tear_off(_shown() if positions is None else positions)
    signed = (_signed(_FIRST), _signed(_SECOND)) if signatures is None else signatures
    return _asked(("notarise/1", torn.value, spends, refers, signed))


def _asked(value: Value) -> Object:
    return {"network": ledger.NETWORK.hex(), "hex": encode(value).hex()}


def requests() -> list[Case]:
    issue = _ISSUE.tear_off(_shown(_ISSUE)).value
    wider = sorted([*_shown(), _SPEND.position(OUTPUTS, 0)])
    windowless = [at for at in _shown() if at != _SPEND.position(WINDOW, 0)]
    inputless = [at for at in _shown() if at != 2]
    both = (_signed(_FIRST), _signed(_SECOND))
    elsewhere = _signed(_SECOND, network=seeded("another network"))
    surplus = _signed(ledger.locked("spend 0"))
    listed: dict[str, tuple[str, Object]] = {
        "a lock signature too many": ("6.1", _request(signatures=(*both, surplus))),
        "a lock signature twice": ("6.1", _request(signatures=(*both, both[0]))),
        "a lock signature where nothing is spent": (
            "6.1",
            _asked(("notarise/1", issue, (), (), (_signed(_FIRST, _ISSUE),))),
        ),
        "an output shown": ("6.1", _request(wider)),
        "everything shown": ("6.1", _request(everything(_SPEND))),
        "the window hidden": ("6.1", _request(windowless)),
        "an input hidden": ("6.1", _request(inputless)),
        "the header alone": ("6.1", _request([0])),
        "an opening too few": ("6.1", _request(spends=_SPENDS[:1])),
        "an opening too many": ("6.1", _request(spends=(*_SPENDS, _SPENDS[0]))),
        "no opening of the reference": ("6.1", _request(refers=())),
        "openings in the other order": ("4.3", _request(spends=_SPENDS[::-1])),
        "a reference opened like an input": ("1.3", _request(refers=_SPENDS[:1])),
        "no lock signature": ("4.4", _request(signatures=())),
        "a lock signature too few": ("4.4", _request(signatures=both[:1])),
        "a lock signature in another network": ("4.4", _request(signatures=(both[0], elsewhere))),
        "a lock signature over another transaction": (
            "4.4",
            _request(signatures=(both[0], _signed(_SECOND, _ISSUE))),
        ),
        "a later tag": ("1.3", _asked(("notarise/2", issue, (), (), ()))),
        "a surplus field": ("1.3", _asked(("notarise/1", issue, (), (), (), None))),
        "a missing field": ("1.3", _asked(("notarise/1", issue, (), ()))),
        "nil for no openings": ("1.3", _asked(("notarise/1", issue, None, (), ()))),
    }
    note = "Openings stand in the order of inputs and references; lock signatures in any."
    return [
        accepted("an issue: no inputs", "6.1", _asked(("notarise/1", issue, (), (), ()))),
        accepted("two inputs and a reference", "6.1", _request(), note),
        accepted("lock signatures in the other order", "6.1", _request(signatures=both[::-1])),
        *(refused(name, clause, given) for name, (clause, given) in listed.items()),
    ]


def _evidence(name: str) -> Value:
    return ("evidence/1", key_of(name).value, seeded(name) * 2)


def _passed() -> dict[str, Value]:
    enrolment: Value = (
        "enrolment/1",
        did("custodian"),
        seeded("patient", 16),
        one("authority 1").value,
        did("agent"),
        ledger.OPENS,
    )
    torn = _ISSUE.tear_off(everything(_ISSUE)).value
    signature: Value = ("signature/1", key_of("signer").value, ("meta/1", 1, 1), seeded("s") * 2)
    conflicts: Value = (((seeded("tx"), 3), spender(seeded("spender"))),)
    return {
        "evidence": _evidence("custodian"),
        "signed by nobody": ("signed/1", torn, ()),
        "signed": ("signed/1", torn, (signature,)),
        "proven": ("proven/1", torn, (signature, signature), f"a text, of {ORIGIN}\n"),
        "an enrolment": enrolment,
        "a signed enrolment": (
            "signed-enrolment/1",
            enrolment,
            _evidence("custodian"),
            (_evidence("authority 1"),),
        ),
        "committed": ("committed/1", "a text\n"),
        "a conflict": ("conflict/1", conflicts),
        "closed": ("closed/1", ledger.OPENS),
        "early": ("early/1", 0),
        "busy": ("busy/1", 2**32 - 1),
        "status": ("status/1", seeded("tx"), ledger.OPENS),
        "never": ("never/1",),
        "unknown": ("unknown/1", 2**63 - 1),
    }


def messages() -> list[Case]:
    passed = _passed()
    clauses = {
        "evidence": "3.2",
        "proven": "3.3",
        "an enrolment": "5.1",
        "a signed enrolment": "5.1",
    }
    clauses |= {"signed": "3.3", "signed by nobody": "3.3"}
    cases = []
    for name, value in passed.items():
        fields = value if isinstance(value, tuple) else ()
        cases += [
            accepted(name, clauses.get(name, "6.2"), _hex(value)),
            refused(f"{name}: a surplus field", "1.3", _hex((*fields, None))),
            refused(f"{name}: a trailing byte", "1.2", {"hex": encode(value).hex() + "c0"}),
        ]
        if len(fields) > 1:
            cases.append(refused(f"{name}: a missing field", "1.3", _hex(fields[:-1])))
    return cases + _refused_messages(passed["an enrolment"])


def _hex(value: Value) -> Object:
    return {"hex": encode(value).hex()}


def _refused_messages(enrolment: Value) -> list[Case]:
    fields = enrolment if isinstance(enrolment, tuple) else ()
    good = _evidence("custodian")
    listed: dict[str, tuple[str, Value]] = {
        "an unknown tag": ("1.3", ("hello/1",)),
        "a later tag": ("1.3", ("never/2",)),
        "no tag": ("1.3", ()),
        "busy for 2^32": ("1.3", ("busy/1", 2**32)),
        "closed at 2^63": ("1.3", ("closed/1", 2**63)),
        "early, at a negative time": ("1.3", ("early/1", -1)),
        "a receipt as bytes": ("1.3", ("committed/1", b"a text\n")),
        "a conflict whose spender has 31 bytes": (
            "1.3",
            ("conflict/1", (((seeded("tx"), 3), bytes(31)),)),
        ),
        "a conflict at index 65,536": (
            "1.3",
            ("conflict/1", (((seeded("tx"), 65_536), bytes(32)),)),
        ),
        "a status of 31 bytes": ("1.3", ("status/1", bytes(31), 0)),
        "an enrolment by no DID": ("1.5", (fields[0], "custodian", *fields[2:])),
        "an enrolment whose agent is no DID": ("1.5", (*fields[:4], "agent", fields[5])),
        "an enrolment of a patient of 15 bytes": ("1.3", (*fields[:2], bytes(15), *fields[3:])),
        "an enrolment under a key and no policy": (
            "1.3",
            (*fields[:3], key_of("authority 1").value, *fields[4:]),
        ),
        "a signed enrolment with one evidence": ("1.3", ("signed-enrolment/1", enrolment, (good,))),
        "a signed enrolment of evidence": ("1.3", ("signed-enrolment/1", good, good, (good,))),
        "a signed enrolment of bytes": (
            "1.3",
            ("signed-enrolment/1", encode(enrolment), good, (good,)),
        ),
        "evidence by a key of 31 bytes": ("2.4", ("evidence/1", (1, bytes(31)), bytes(64))),
    }
    return [refused(name, clause, _hex(value)) for name, (clause, value) in listed.items()]
