"""What travels between parties: its shape (§3.2, §3.3, §5.1, §6.2), and requests whole (§6.1)."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.vectors.second import shapes
from tests.vectors.second.components import (
    INPUTS,
    NOTARY,
    PARAMETERS,
    REFERENCES,
    WINDOW,
    read_component,
    read_state_ref,
)
from tests.vectors.second.keys import Key, keys_of, read_did, read_key, read_policy, satisfied
from tests.vectors.second.msgpack import Value
from tests.vectors.second.refusal import Refused, require
from tests.vectors.second.signatures import check_lock_signature
from tests.vectors.second.spending import check_opening, nullifier
from tests.vectors.second.tearoff import read_tearoff, verify_tearoff

_REQUESTED = (INPUTS, REFERENCES, NOTARY, WINDOW, PARAMETERS)


def read_message(value: Value) -> str:
    """The tag of a message whose fields are all of their types."""
    tag = shapes.tag_of(value)
    if tag not in _MESSAGES:
        raise Refused("1.3", "an unknown tag")
    types = _MESSAGES[tag]
    fields = shapes.tagged(value, tag, len(types))
    for check, field in zip(types, fields, strict=True):
        check(field)
    return tag


_Check = Callable[[Value], object]


def _digest(value: Value) -> None:
    shapes.exactly(value, 32)


def _patient(value: Value) -> None:
    shapes.exactly(value, 16)


def _ms(value: Value) -> None:
    shapes.integer(value, shapes.U63)


def _after(value: Value) -> None:
    shapes.integer(value, shapes.U32)


def _did(value: Value) -> None:
    read_did(shapes.text(value))


def _signature(value: Value) -> None:
    key, meta, raw = shapes.tagged(value, "signature/1", 3)
    read_key(key)
    scheme, platform = shapes.tagged(meta, "meta/1", 2)
    shapes.integer(scheme, shapes.U8)
    shapes.integer(platform, shapes.U16)
    shapes.blob(raw)


def _conflicting(value: Value) -> None:
    ref, spender = shapes.untagged(value, 2)
    read_state_ref(ref)
    _digest(spender)


def _each(check: _Check) -> _Check:
    return lambda value: [check(one) for one in shapes.items(value)]


def _of(tag: str) -> _Check:
    def check(value: Value) -> None:
        require(read_message(value) == tag, "1.3", "an unknown tag")

    return check


_MESSAGES: dict[str, tuple[_Check, ...]] = {
    "evidence/1": (read_key, shapes.blob),
    "signed/1": (read_tearoff, _each(_signature)),
    "proven/1": (read_tearoff, _each(_signature), shapes.text),
    "enrolment/1": (_did, _patient, read_policy, _did, _ms),
    "signed-enrolment/1": (_of("enrolment/1"), _of("evidence/1"), _each(_of("evidence/1"))),
    "committed/1": (shapes.text,),
    "conflict/1": (_each(_conflicting),),
    "closed/1": (_ms,),
    "early/1": (_ms,),
    "busy/1": (_after,),
    "status/1": (_digest, _ms),
    "never/1": (),
    "unknown/1": (_ms,),
}


@dataclass(frozen=True)
class Request:
    """What a notary learns from a request that holds together."""

    transaction: bytes
    nullifiers: tuple[bytes, ...]


def check_request(value: Value, network: bytes) -> Request:
    """`notarise/1{tearoff, spend openings, refer openings, lock signatures}` (§6.1, §4).

    One opening for each input and each reference, in their order.
    """
    torn, spends, refers, signatures = shapes.tagged(value, "notarise/1", 4)
    verified = verify_tearoff(read_tearoff(torn))
    for group in _REQUESTED:
        require(verified.complete(group), "6.1", "a request that does not show all that it must")
    shown = all(one.group in _REQUESTED for one in verified.shown)
    require(shown, "6.1", "a request that shows more than it must")
    values = [(one.group, read_component(one.group, one.component)) for one in verified.shown]
    signed = [check_lock_signature(one, network, verified.id) for one in shapes.items(signatures)]
    keys = frozenset(signed)
    require(len(keys) == len(signed), "6.1", "a key that signed twice")
    consumed = [read_state_ref(value) for group, value in values if group == INPUTS]
    referred = [read_state_ref(value) for group, value in values if group == REFERENCES]
    to_spend, to_refer = shapes.items(spends), shapes.items(refers)
    one_each = (len(to_spend), len(to_refer)) == (len(consumed), len(referred))
    require(one_each, "6.1", "not one opening for each input and reference")
    nullifiers, asked = [], set[Key]()
    for opening, ref in zip(to_spend, consumed, strict=True):
        opened = check_opening(opening, ref, spends=True)
        policy = read_policy(shapes.untagged(opening, 4)[1])
        require(satisfied(policy, keys), "4.4", "lock signatures that do not satisfy the lock")
        nullifiers.append(nullifier(opened.salt, ref))
        asked.update(keys_of(policy))
    require(keys <= asked, "6.1", "a lock signature by a key that no lock asks for")
    for opening, ref in zip(to_refer, referred, strict=True):
        check_opening(opening, ref, spends=False)
    return Request(verified.id, tuple(nullifiers))
