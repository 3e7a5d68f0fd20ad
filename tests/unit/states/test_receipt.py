"""Claims about log entries and receipts: what is proven, and every other text refused."""

from base64 import b64encode
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states import receipt
from states.checkpoint import Checkpoint, LogKeys
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.merkle import GrowingTree, inclusion_path, leaf_hash, root_of
from states.errors import (
    InvalidProof,
    InvalidSignature,
    LedgerError,
    MalformedBytes,
    OverLimit,
)
from states.note import Cosigner, NoteSigner, sign_note
from states.receipt import (
    NULLIFIERS_MAX,
    RECEIPT_LENGTH_MAX,
    LogEntry,
    ReceiptVerifier,
    entry_bytes,
    parse_entry,
    read_receipt,
    write_receipt,
)

LOG = NoteSigner("notary.example", Ed25519Signer(bytes(32)))
CLOCK = Cosigner("clock.example", Ed25519Signer(b"\1" * 32), 1_700_000_000)
KEYS = LogKeys("notary.example", LOG.key, CLOCK.key)
ENTRIES = [
    LogEntry(
        bytes([at]) * 32, 1_700_000_000_000 + at, tuple(bytes([at, n]) * 16 for n in range(at))
    )
    for at in range(7)
]
LEAVES = [leaf_hash(entry_bytes(each)) for each in ENTRIES]


def checkpoint_note(leaves: Sequence[bytes] = LEAVES, origin: str = "notary.example") -> str:
    text = Checkpoint(origin, len(leaves), root_of(leaves)).text
    return sign_note(text, [LOG, CLOCK]).render()


def receipt_of(index: int) -> str:
    return write_receipt(ENTRIES[index], index, inclusion_path(LEAVES, index), checkpoint_note())


TEXT = receipt_of(5)
EXTRA = TEXT.split("\n")[1]


def test_an_entry_is_its_fields_one_after_the_other() -> None:
    entry = LogEntry(b"\7" * 32, 0x0102030405060708, (b"\1" * 32, b"\2" * 32))
    assert entry_bytes(entry) == (
        b"\1" + b"\7" * 32 + bytes(range(1, 9)) + b"\0\2" + b"\1" * 32 + b"\2" * 32
    )
    assert parse_entry(entry_bytes(entry)) == entry


def test_extra_is_the_entry_without_the_transaction() -> None:
    data = entry_bytes(ENTRIES[5])
    assert read_receipt(TEXT).extra == data[:1] + data[33:]
    assert read_receipt(TEXT).entry(ENTRIES[5].transaction) == ENTRIES[5]
    assert ENTRIES[5].transaction.hex() not in TEXT
    assert b64encode(ENTRIES[5].transaction).decode()[:40] not in TEXT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1",
        entry_bytes(ENTRIES[0])[:-1],
        entry_bytes(ENTRIES[0]) + b"\0",
        entry_bytes(ENTRIES[3])[:-1],
        entry_bytes(ENTRIES[3])[:-32],
        entry_bytes(ENTRIES[3]) + bytes(32),
        b"\0" + entry_bytes(ENTRIES[3])[1:],
        b"\2" + entry_bytes(ENTRIES[3])[1:],
        b"\1" + bytes(32) + b"\x80" + bytes(7) + b"\0\0",
        b"\1" + bytes(32) + bytes(8) + b"\0\2" + bytes(64),
        b"\1" + bytes(32) + bytes(8) + b"\xff\xff" + bytes(64),
        b"\1" + bytes(32) + bytes(8) + (2_047).to_bytes(2)
        + b"".join(at.to_bytes(32) for at in range(2_047)),
    ],
)  # fmt: skip
def test_an_entry_in_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBytes):
        parse_entry(data)


def test_an_entry_refuses_to_be_wrong() -> None:
    one = b"\1" * 32
    many = tuple(at.to_bytes(32) for at in range(NULLIFIERS_MAX + 1))
    for transaction, at, nullifiers in [
        (bytes(31), 0, ()),
        (bytes(32), -1, ()),
        (bytes(32), 1 << 63, ()),
        (bytes(32), 0, (one, one)),
        (bytes(32), 0, (one, b"")),
        (bytes(32), 0, many),
    ]:
        with pytest.raises(ValueError, match=r"32 bytes|at most|nothing twice"):
            LogEntry(transaction, at, nullifiers)


def test_the_largest_entry_fits_a_bundle_and_a_receipt() -> None:
    entry = LogEntry(bytes(32), 0, tuple(at.to_bytes(32) for at in range(NULLIFIERS_MAX)))
    leaf = entry_bytes(entry)
    assert 65_535 - 32 < len(leaf) <= 65_535
    text = write_receipt(entry, 0, [], checkpoint_note([leaf_hash(leaf)]))
    assert ReceiptVerifier(KEYS).verify(bytes(32), text).entry == entry


@pytest.mark.parametrize("index", range(7))
def test_a_receipt_proves_its_entry(index: int) -> None:
    proven = ReceiptVerifier(KEYS).verify(ENTRIES[index].transaction, receipt_of(index))
    assert (proven.entry, proven.index) == (ENTRIES[index], index)
    assert proven.checkpoint == KEYS.open(checkpoint_note())
    assert proven.checkpoint.cosigned_at == CLOCK.at


def test_receipts_are_written_from_the_texts_of_a_growing_tree() -> None:
    result = GrowingTree().append(LEAVES)
    for at, path in enumerate(result.path_texts):
        assert write_receipt(ENTRIES[at], at, path, checkpoint_note()) == receipt_of(at)


def test_a_receipt_has_one_text() -> None:
    for at in range(7):
        read = read_receipt(receipt_of(at))
        assert write_receipt(
            read.entry(ENTRIES[at].transaction), read.index, read.path, read.note
        ) == (receipt_of(at))


def test_a_receipt_of_a_log_of_a_million_is_of_the_size_that_was_planned() -> None:
    entry = LogEntry(bytes(32), 1_700_000_000_000, (b"\1" * 32,))
    note = sign_note(Checkpoint("notary.example", 1_000_000, bytes(32)).text, [LOG, CLOCK]).render()
    assert len(write_receipt(entry, 999_999, [bytes(32)] * 20, note).encode()) < 1_400


def test_a_receipt_does_not_prove_another_transaction_or_place() -> None:
    verifier = ReceiptVerifier(KEYS)
    with pytest.raises(InvalidProof):
        verifier.verify(ENTRIES[4].transaction, TEXT)
    with pytest.raises(MalformedBytes):
        verifier.verify(ENTRIES[5].transaction[:31], TEXT)
    for index in (0, 4, 6, 7, 1 << 62):
        with pytest.raises(InvalidProof):
            verifier.verify(
                ENTRIES[5].transaction, TEXT.replace("\nindex 5\n", f"\nindex {index}\n")
            )
    for changed in (
        LogEntry(ENTRIES[5].transaction, ENTRIES[5].at + 1, ENTRIES[5].nullifiers),
        LogEntry(ENTRIES[5].transaction, ENTRIES[5].at, ENTRIES[5].nullifiers[:-1]),
        LogEntry(ENTRIES[5].transaction, ENTRIES[5].at, ENTRIES[5].nullifiers[::-1]),
    ):
        text = write_receipt(changed, 5, inclusion_path(LEAVES, 5), checkpoint_note())
        with pytest.raises(InvalidProof):
            verifier.verify(ENTRIES[5].transaction, text)


def test_a_receipt_with_another_path_is_refused() -> None:
    path = inclusion_path(LEAVES, 5)
    for bad in ([], path[:-1], path[::-1], [*path, path[0]], [bytes(32), *path[1:]]):
        with pytest.raises(InvalidProof):
            ReceiptVerifier(KEYS).verify(
                ENTRIES[5].transaction, write_receipt(ENTRIES[5], 5, bad, checkpoint_note())
            )


def test_a_receipt_under_another_checkpoint_is_refused() -> None:
    verifier = ReceiptVerifier(KEYS)
    verifier.verify(ENTRIES[5].transaction, TEXT)
    path = inclusion_path(LEAVES, 5)
    unsigned = sign_note(Checkpoint("notary.example", 7, root_of(LEAVES)).text, [LOG]).render()
    forged = checkpoint_note().replace("\n7\n", "\n8\n")
    foreign = checkpoint_note(origin="other.example")
    for note in (unsigned, forged, foreign):
        with pytest.raises(InvalidSignature):
            verifier.verify(ENTRIES[5].transaction, write_receipt(ENTRIES[5], 5, path, note))
    smaller = checkpoint_note(LEAVES[:6])
    with pytest.raises(InvalidProof):
        verifier.verify(ENTRIES[5].transaction, write_receipt(ENTRIES[5], 5, path, smaller))


def test_a_refused_checkpoint_is_refused_again() -> None:
    verifier = ReceiptVerifier(KEYS)
    text = TEXT.replace("\n7\n", "\n8\n")
    for _ in range(2):
        with pytest.raises(InvalidSignature):
            verifier.verify(ENTRIES[5].transaction, text)


def test_checkpoints_are_verified_once_and_few_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receipt, "CHECKPOINTS_REMEMBERED", 3)
    verifier = ReceiptVerifier(KEYS)
    first = verifier.verify(ENTRIES[5].transaction, TEXT).checkpoint
    assert verifier.verify(ENTRIES[6].transaction, receipt_of(6)).checkpoint is first
    for size in range(1, 6):
        text = write_receipt(
            ENTRIES[0], 0, inclusion_path(LEAVES[:size], 0), checkpoint_note(LEAVES[:size])
        )
        verifier.verify(ENTRIES[0].transaction, text)
    assert len(verifier._seen) == 3
    again = verifier.verify(ENTRIES[5].transaction, TEXT).checkpoint
    assert again == first
    assert again is not first


def test_a_notary_without_a_cosigner_is_not_verified() -> None:
    with pytest.raises(ValueError, match="cosigner"):
        ReceiptVerifier(LogKeys("notary.example", LOG.key, None))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        TEXT[1:],
        TEXT[:-1],
        TEXT + "\n",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\nindex", "\r\nindex"),
        TEXT.replace(EXTRA + "\n", ""),
        TEXT.replace(EXTRA + "\n", EXTRA + "\n" + EXTRA + "\n"),
        TEXT.replace(EXTRA, EXTRA + " "),
        TEXT.replace(EXTRA, EXTRA.replace("extra ", "extra  ")),
        TEXT.replace(EXTRA, EXTRA.replace("extra ", "Extra ")),
        TEXT.replace(EXTRA, EXTRA[:-1]),
        TEXT.replace(EXTRA, EXTRA + "===="),
        TEXT.replace(EXTRA, EXTRA[:20] + "-" + EXTRA[20:]),
        TEXT.replace(EXTRA, "extra "),
        TEXT.replace(EXTRA, "extra AAAA"),
        TEXT.replace(EXTRA, "extra \N{EM DASH}"),
        TEXT.replace("index 5", "index 05"),
        TEXT.replace("index 5", "index +5"),
        TEXT.replace("index 5", "index 5 "),
        TEXT.replace("index 5", "index -5"),
        TEXT.replace("index 5", "index \N{ARABIC-INDIC DIGIT FIVE}"),
        TEXT.replace("index 5", f"index {1 << 63}"),
        TEXT.replace("index 5", f"index {'9' * 5_000}"),
        TEXT.replace("index 5", "index "),
        TEXT.replace("index 5\n", "index 5\nindex 5\n"),
        TEXT.replace("index 5\n", "index 5\nAAAA\n"),
        TEXT.replace("index 5\n", "index 5\n" + b64encode(bytes(31)).decode() + "\n"),
        TEXT.replace("index 5\n", "index 5\n" + b64encode(bytes(32)).decode()[:-1] + "\n"),
        TEXT.replace("index 5\n", "index 5\n" + b64encode(bytes(32)).decode()[:-2] + "B=\n"),
        TEXT.replace("index 5\n", "index 5\n\n"),
        TEXT.replace("\n\nnotary", "\nnotary"),
        TEXT.partition("\n\n")[0],
        TEXT.partition("\n\n")[0] + "\n\n",
        TEXT.partition("\n\n")[0] + "\n\n" + TEXT.partition("\n\n")[2].partition("\n\n")[0],
    ],
)  # fmt: skip
def test_a_receipt_in_another_form_is_refused(text: str) -> None:
    assert text != TEXT
    with pytest.raises(MalformedBytes):
        read_receipt(text)
    with pytest.raises(MalformedBytes):
        ReceiptVerifier(KEYS).verify(ENTRIES[5].transaction, text)


def test_an_index_of_zero_is_written_so() -> None:
    assert "\nindex 0\n" in receipt_of(0)
    assert read_receipt(receipt_of(0)).index == 0


def test_a_receipt_over_a_limit_is_refused() -> None:
    line = b64encode(bytes(32)).decode() + "\n"
    with pytest.raises(OverLimit):
        read_receipt(TEXT.replace("index 5\n", "index 5\n" + line * 64))
    with pytest.raises(OverLimit, match="characters"):
        read_receipt(TEXT + "x" * RECEIPT_LENGTH_MAX)


@given(st.data())
def test_no_cut_or_changed_receipt_passes(draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(TEXT) - 1))
    other = draw.draw(st.text(max_size=3).filter(lambda new: not new.startswith(TEXT[at])))
    changed = TEXT[:at] + other + TEXT[at + draw.draw(st.integers(1, 80)) :]
    if changed != TEXT:
        with pytest.raises(LedgerError):
            ReceiptVerifier(KEYS).verify(ENTRIES[5].transaction, changed)
