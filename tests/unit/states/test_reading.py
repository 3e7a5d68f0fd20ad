"""Entries of reading logs: whose they are, what they link to, and proofs that are read strictly."""

import pytest
from msgspec.structs import replace as but

from states.encoding import encode
from states.errors import InvalidProof, InvalidSignature, MalformedBytes, OverLimit
from states.log_proof import PROOF_CHARS_MAX, read_proof, verify_proof, write_proof
from states.parameters import MEMBER, SIGNED_MEMBER, Member, ReadingLogKey
from states.reading import (
    FIRST_EPOCH,
    NOTHING_BEFORE,
    READING,
    DailyHead,
    ReadingEntry,
    Restored,
    VerifiedReading,
    contradict,
    entry_digest,
    leaf_of,
    open_head,
    origin_of,
    reading_logs_of,
    sign_head,
    verify_reading,
)
from tests.unit.states.proof_world import (
    MERCY,
    NETWORK,
    NOW,
    RIVERSIDE,
    Story,
    in_log,
    member,
    seeded,
    signer,
)


def entry_of(name: str) -> Member:
    return MEMBER.decode(SIGNED_MEMBER.decode(member(name)).body)


REPORTED = Story().reported()
ENTRY = READING.decode(REPORTED.body)
RIVERSIDES = entry_of("Riverside")


def test_an_entry_is_believed_by_its_organisations_log_only() -> None:
    assert verify_reading(REPORTED, RIVERSIDES).entry == ENTRY
    with pytest.raises(InvalidSignature):
        verify_reading(REPORTED, entry_of("Mercy"))
    foreign = in_log(
        but(ENTRY, organisation=MERCY), seeded("s"), "Riverside", "Riverside, readings"
    )
    with pytest.raises(InvalidSignature, match="another organisation"):
        verify_reading(foreign, RIVERSIDES)


def test_the_first_entry_alone_has_nothing_before_it() -> None:
    for number, previous in ((1, seeded("x")), (2, NOTHING_BEFORE), (0, NOTHING_BEFORE)):
        data = encode([*ENTRY_FIELDS[:3], number, previous, *ENTRY_FIELDS[5:]])
        with pytest.raises(MalformedBytes):
            READING.decode(data)


def fields(entry: ReadingEntry) -> list[object]:
    names = entry.__struct_fields__
    return ["reading/2", *(getattr(entry, name) for name in names)]


ENTRY_FIELDS = fields(ENTRY)


def test_an_entry_has_one_encoding() -> None:
    assert encode(ENTRY_FIELDS) == REPORTED.body
    for bad in (encode(ENTRY_FIELDS[:-1]), encode([*ENTRY_FIELDS, None]), REPORTED.body + b"\0"):
        with pytest.raises(MalformedBytes):
            READING.decode(bad)


def test_a_head_is_of_one_network_and_organisation_by_its_log_key() -> None:
    head = DailyHead(NETWORK, RIVERSIDE, seeded("chain"), 0, bytes(32), 1, NOW, None)
    key = signer("Riverside, readings")
    assert open_head(sign_head(key, head), NETWORK, RIVERSIDES) == head
    for bad in (
        sign_head(key, but(head, network=bytes(32))),
        sign_head(key, but(head, organisation=MERCY)),
        sign_head(signer("Riverside"), head),
    ):
        with pytest.raises(InvalidSignature):
            open_head(bad, NETWORK, RIVERSIDES)


def after_rotation() -> Member:
    """Riverside's entry once a second key has followed at NOW, the first ending a while later."""
    (first,) = RIVERSIDES.reading_log
    second = ReadingLogKey(signer("Riverside, second log key").key.raw, NOW, 1 << 60)
    return but(RIVERSIDES, reading_log=(but(first, until_time=NOW + 10), second))


@pytest.mark.parametrize(
    ("at", "by", "believed"),
    [
        (NOW - 1, "Riverside, readings", True),
        (NOW + 9, "Riverside, readings", True),  # the node had not switched yet
        (NOW + 10, "Riverside, readings", False),
        (NOW + 10, "Riverside, second log key", True),
        (NOW - 1, "Riverside, second log key", True),  # an old entry under a new checkpoint
        (NOW - 1, "Riverside", False),
    ],
)
def test_a_former_log_key_vouches_for_what_was_entered_in_its_time(
    at: int, by: str, *, believed: bool
) -> None:
    reported = in_log(but(ENTRY, at=at), seeded("s"), "Riverside", by)
    head = DailyHead(NETWORK, RIVERSIDE, seeded("chain"), 0, bytes(32), 1, at, None)
    if believed:
        assert verify_reading(reported, after_rotation()).entry.at == at
        assert open_head(sign_head(signer(by), head), NETWORK, after_rotation()) == head
        return
    with pytest.raises(InvalidSignature):
        verify_reading(reported, after_rotation())
    with pytest.raises(InvalidSignature):
        open_head(sign_head(signer(by), head), NETWORK, after_rotation())


def test_a_proof_reads_back_to_the_same_text_and_no_other_text_is_one() -> None:
    text = REPORTED.proof
    proof = read_proof(text)
    assert write_proof(proof.index, proof.path, proof.note) == text
    for bad in (
        "",
        text.replace("tlog-proof@v1", "tlog-proof@v2"),
        text.replace("index 1", "index 01"),
        text.replace("index 1", "extra AA==\nindex 1"),
        text.replace("index 1\n", "index 1\nAAAA\n"),
        text.replace("=\n", "\n", 1),
        text.replace("\n\n", "\n", 1),
    ):
        with pytest.raises((MalformedBytes, InvalidProof)):
            read_proof(bad)
    with pytest.raises(OverLimit):
        read_proof(text + " " * PROOF_CHARS_MAX)


def test_a_proof_of_another_leaf_or_index_is_none() -> None:
    (keys,) = reading_logs_of(RIVERSIDES, NOW)
    leaf = leaf_of(entry_digest(REPORTED.salt, REPORTED.body))
    assert verify_proof(REPORTED.proof, leaf, keys).index == 1
    with pytest.raises(InvalidProof):
        verify_proof(REPORTED.proof, leaf_of(seeded("x")), keys)
    with pytest.raises(InvalidProof):
        verify_proof(REPORTED.proof.replace("index 1", "index 0"), leaf, keys)


EPOCH = seeded("epoch")[:16]


def test_an_epoch_goes_on_after_what_it_kept_and_is_not_the_first() -> None:
    after = Restored(EPOCH, NOW, 2)
    third = but(ENTRY, number=3, previous=seeded("second"), restored=after)
    assert READING.decode(encode(third)) == third
    for fields_ in (
        {"number": 2, "previous": seeded("first")},
        {"number": 1, "previous": NOTHING_BEFORE},
    ):
        with pytest.raises(ValueError, match="after what it kept"):
            but(third, **fields_)
    head = DailyHead(NETWORK, RIVERSIDE, seeded("chain"), 2, seeded("second"), 1, NOW, after)
    with pytest.raises(ValueError, match="no shorter"):
        but(head, number=1)
    with pytest.raises(ValueError, match="never restored"):
        Restored(FIRST_EPOCH, NOW, 0)


def test_the_log_of_any_epoch_is_the_members_and_no_other_name_is() -> None:
    told = but(ENTRY, restored=Restored(EPOCH, NOW, 0))
    for name in (origin_of(RIVERSIDE), origin_of(RIVERSIDE, EPOCH)):
        reported = in_log(told, seeded("s"), "Riverside", "Riverside, readings", name)
        assert verify_reading(reported, RIVERSIDES).entry == told
    for name in (
        origin_of(MERCY, EPOCH),
        origin_of(RIVERSIDE) + "/" + bytes(16).hex(),
        origin_of(RIVERSIDE, EPOCH) + "0",
        origin_of(RIVERSIDE, EPOCH).upper(),
        f"{RIVERSIDE}/{EPOCH.hex()}",
    ):
        reported = in_log(told, seeded("s"), "Riverside", "Riverside, readings", name)
        with pytest.raises(InvalidSignature):
            verify_reading(reported, RIVERSIDES)


def entered(entry: ReadingEntry, salt: str = "s") -> VerifiedReading:
    return verify_reading(
        in_log(entry, seeded(salt), "Riverside", "Riverside, readings"), RIVERSIDES
    )


FIRST = entered(ENTRY)
SECOND = entered(but(ENTRY, number=2, previous=FIRST.digest))


@pytest.mark.parametrize(
    ("one", "other", "contradicts"),
    [
        (FIRST, FIRST, False),
        (FIRST, SECOND, False),
        (SECOND, entered(but(ENTRY, number=3, previous=SECOND.digest)), False),
        (FIRST, entered(but(ENTRY, number=3, previous=seeded("unknown"))), False),
        (FIRST, entered(but(ENTRY, at=NOW + 1)), True),  # two of one number
        (FIRST, entered(ENTRY, "another salt"), True),
        (FIRST, entered(but(ENTRY, number=2, previous=seeded("another"))), True),
        (FIRST, entered(but(ENTRY, chain=seeded("another chain"))), True),  # two of one disclosure
        (FIRST, entered(but(ENTRY, disclosure=None)), True),  # one chain of two matters
        (FIRST, entered(but(ENTRY, chain=seeded("x"), disclosure=seeded("y"))), False),
        (SECOND, entered(but(SECOND.entry, restored=Restored(EPOCH, NOW, 1)), "x"), False),
        (
            entered(but(SECOND.entry, restored=Restored(EPOCH, NOW, 1))),
            entered(but(SECOND.entry, number=3, restored=Restored(EPOCH, NOW, 2))),
            True,  # one restore in two ways
        ),
    ],
)
def test_two_entries_contradict_each_other_where_no_log_holds_both(
    one: VerifiedReading, other: VerifiedReading, *, contradicts: bool
) -> None:
    assert contradict(one, other) is contradict(other, one) is contradicts
