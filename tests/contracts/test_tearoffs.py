"""What is torn off a transaction is gone: it verifies all the same, and nobody finds or guesses what it said.

The attacker of the last tests has the tear-off, the salt of the transaction, every visible nonce, the true plaintext
and everything around it, and lacks one thing: the random nonce of the sealed component.
"""

from base64 import b64encode, urlsafe_b64encode

import pytest
from msgspec.structs import replace

from states.crypto.hashes import hmac_sha256
from states.crypto.merkle import leaf_hash
from states.encoding import encode
from states.errors import InvalidProof, LedgerError
from states.groups import Group
from states.ledger import Data
from states.signed import SIGNED_TRANSACTION, SignedTransaction
from states.subjects.terms import Exceptions, Terms
from states.tearoff import NONCE_SIZE, Tearoff, open_tearoff
from tests.contracts.cast import ADA_AT_MERCY, ADA_AT_RIVERSIDE, DR_REED, seeded
from tests.contracts.ledger_dsl import VERIFIER, Draft
from tests.contracts.test_consent import (
    FOR_CUSTODIAN,
    FOR_GRANTEE,
    GRANT,
    THE_EXCEPTIONS,
    THE_TERMS,
)
from tests.contracts.test_disclosure import DISCLOSE, FIRST
from tests.contracts.test_record import HBA1C, LETTER, NOTE, PUBLISH

Places = tuple[tuple[Group, int], ...]

SECRETIVE = GRANT.seal_says(THE_EXCEPTIONS, Exceptions(("genetics",), ("HIV",)))
EXCEPTED = (b"genetics", b"HIV")
ERASED_NOTE: Places = ((Group.OUTPUTS, 1), (Group.SEALED, 1))
TERMS_OFF: Places = ((Group.SEALED, THE_TERMS),)

TORN: list[tuple[str, Draft, Places, tuple[bytes, ...]]] = [
    ("grantee", SECRETIVE, FOR_GRANTEE, (ADA_AT_MERCY, *EXCEPTED)),
    ("custodian", SECRETIVE, FOR_CUSTODIAN, (ADA_AT_RIVERSIDE,)),
    ("terms", GRANT, TERMS_OFF, (DR_REED, b"TREAT", b"laboratory", b"medication")),
    (
        "erased note",
        PUBLISH,
        ERASED_NOTE,
        (LETTER.kind.encode(), b"PSY", NOTE.commitment, NOTE.blob.encode()),
    ),
    (
        "erased item",
        DISCLOSE,
        ((Group.SEALED, 1),),
        (FIRST.commitment, FIRST.blob.encode(), HBA1C.code.encode(), HBA1C.kind.encode()),
    ),
]
CASES = [pytest.param(draft, torn, secrets, id=name) for name, draft, torn, secrets in TORN]


def erase(draft: Draft, torn: Places) -> SignedTransaction:
    """What a holder does: replace the stored tear-off by a narrower one."""
    whole = draft.signed()
    filtered = open_tearoff(whole.tearoff)
    gone = {filtered.layout.position(group, index) for group, index in torn}
    kept = (at for at in whole.tearoff.positions if at not in gone)
    return SignedTransaction(filtered.narrowed(kept), whole.signatures)


def written(secret: bytes) -> tuple[bytes, ...]:
    """A secret as bytes, in hexadecimal and in base64 at each of its three alignments."""
    shifted = [b64encode(b"\0" * pad + secret)[4 if pad else 0 : -4] for pad in range(3)]
    return (secret, secret.hex().encode(), secret[::-1], urlsafe_b64encode(secret), *shifted)


@pytest.mark.parametrize(("draft", "torn", "secrets"), CASES)
def test_what_is_left_verifies_and_shows_none_of_what_is_gone(
    draft: Draft, torn: Places, secrets: tuple[bytes, ...]
) -> None:
    whole, left = draft.signed(), erase(draft, torn)
    before, after = encode(whole), encode(left)
    held = dict(draft.states_held())
    checked = VERIFIER.check(SIGNED_TRANSACTION.decode(after), held.get, held=True)
    assert checked.filtered.id == open_tearoff(whole.tearoff).id
    for secret in secrets:
        assert secret in before, "the search can find it where it is"
        for form in written(secret):
            assert len(form) < 4 or form not in after
    assert secrets


@pytest.mark.parametrize(("draft", "torn", "secrets"), CASES)
def test_no_nonce_of_what_is_gone_is_left(
    draft: Draft, torn: Places, secrets: tuple[bytes, ...]
) -> None:
    built = draft.built()
    after = encode(erase(draft, torn))
    for group, index in torn:
        leaf = built.leaves[built.layout.position(group, index)]
        assert leaf is not None
        assert leaf[:NONCE_SIZE] not in after
    assert secrets


def confirms(tearoff: Tearoff, position: int, leaf: bytes) -> bool:
    """Whether a guess at the hidden leaf at `position` fits what is left: its hash is one that the proof shows."""
    hashes = {tearoff.proof[at : at + 32] for at in range(0, len(tearoff.proof), 32)}
    assert position not in tearoff.positions, "it is hidden"
    return leaf_hash(leaf) in hashes


def sealed_leaf(nonce: bytes, draft: Draft, index: int) -> bytes:
    return nonce + bytes([Group.SEALED]) + encode(draft.seals[index])


def derivable_nonces(draft: Draft, tearoff: Tearoff) -> list[bytes]:
    """Every nonce that somebody could compute who has the tear-off and the transaction's salt."""
    salt = seeded("salt")
    derived = [
        hmac_sha256(salt, bytes([group]) + index.to_bytes(2, "big"))
        for group in Group
        for index in range(len(draft.seals) + 1)
    ]
    seen = [leaf[:NONCE_SIZE] for leaf in tearoff.leaves[1:]]
    return [*derived, *seen, salt, bytes(NONCE_SIZE), b"\xff" * NONCE_SIZE]


def test_a_guess_at_a_torn_off_name_cannot_be_confirmed_without_its_nonce() -> None:
    left = erase(GRANT, FOR_GRANTEE).tearoff
    position = GRANT.built().layout.position(Group.SEALED, 0)
    guesses = [sealed_leaf(nonce, GRANT, 0) for nonce in derivable_nonces(GRANT, left)]
    assert len(guesses) > 60
    assert not any(confirms(left, position, guess) for guess in guesses)
    # The control: with the nonce the very same guess is confirmed, so the attack itself is sound.
    assert confirms(left, position, sealed_leaf(seeded("nonce", 0), GRANT, 0))


def test_the_few_terms_that_there_are_cannot_be_tried_through() -> None:
    left = erase(GRANT, TERMS_OFF).tearoff
    position = GRANT.built().layout.position(Group.SEALED, THE_TERMS)
    truth = Terms("permit", DR_REED, None, ("TREAT",), ("laboratory", "medication"), ())
    likely: list[Data] = [
        truth,
        *(replace(truth, purposes=(purpose,)) for purpose in ("COC", "HPAYMT", "HRESCH")),
        replace(truth, categories=()),
    ]
    drafts = [GRANT.seal_says(THE_TERMS, terms) for terms in likely]
    for draft in drafts:
        for nonce in derivable_nonces(draft, left):
            assert not confirms(left, position, sealed_leaf(nonce, draft, THE_TERMS))
    mine = seeded("nonce", THE_TERMS)
    assert [confirms(left, position, sealed_leaf(mine, d, THE_TERMS)) for d in drafts] == [
        True, False, False, False, False,
    ]  # fmt: skip


def test_nothing_else_can_be_put_where_something_was_torn_off() -> None:
    whole = DISCLOSE.signed()
    other = DISCLOSE.seal_says(1, replace(FIRST, size_class=8_192)).signed()
    mixed = Tearoff(whole.tearoff.positions, other.tearoff.leaves, whole.tearoff.proof)
    forged = SignedTransaction(mixed, whole.signatures)
    held = dict(DISCLOSE.states_held())
    with pytest.raises(LedgerError, match="does not verify"):
        VERIFIER.check(forged, held.get, held=True)
    short = Tearoff(whole.tearoff.positions[:-1], whole.tearoff.leaves[:-1], b"")
    with pytest.raises(InvalidProof):
        open_tearoff(short)
