"""Claims about checkpoints: whose are accepted, and which may follow which."""

from base64 import b64encode
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.checkpoint import (
    Checkpoint,
    ForkedLog,
    LogKeys,
    RolledBack,
    VerifiedCheckpoint,
    advance,
    open_checkpoint,
    parse_decimal,
    signed_elsewhere,
)
from states.crypto.ed25519 import Ed25519Signer
from states.crypto.merkle import EMPTY_ROOT, leaf_hash, prefix_root, prefix_spans, root_of
from states.errors import InvalidProof, InvalidSignature, MalformedBytes
from states.note import COSIGNATURE, ED25519, Cosigner, NoteKey, NoteSigner, parse_note, sign_note

TESSERA = Path(__file__).parents[3].parent / "shared" / "data" / "vectors" / "tlog" / "tessera"
needs_tessera = pytest.mark.skipif(
    not TESSERA.is_dir(), reason="shared/data/vectors/tlog/tessera absent"
)

LOG = NoteSigner("notary.example", Ed25519Signer(bytes(32)))
CLOCKED = Ed25519Signer(b"\1" * 32)
AT = 1_700_000_000
KEYS = LogKeys("notary.example", LOG.key, Cosigner("clock.example", CLOCKED, AT).key)
LEAVES = [leaf_hash(b"%d" % at) for at in range(40)]
FORK = [leaf_hash(b"other %d" % at) for at in range(40)]
ROOT = b64encode(root_of(LEAVES[:7])).decode()


class TesseraLog(msgspec.Struct):
    verifier_key: str
    leaves_utf8_in_order: list[str]


def checkpoint(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint("notary.example", size, root_of(leaves[:size]))


def signed(what: Checkpoint, at: int = AT) -> str:
    return sign_note(what.text, [LOG, Cosigner("clock.example", CLOCKED, at)]).render()


def seen(size: int, leaves: list[bytes] = LEAVES, at: int = AT) -> VerifiedCheckpoint:
    return KEYS.open(signed(checkpoint(size, leaves), at))


def hashes_to(leaves: list[bytes], old: int) -> list[bytes]:
    return [root_of(leaves[a:b]) for a, b in prefix_spans(old, len(leaves))]


@needs_tessera
def test_the_checkpoints_of_a_foreign_log_open_and_are_consistent() -> None:
    log = msgspec.json.decode((TESSERA / "KEY-AND-LEAVES.json").read_bytes(), type=TesseraLog)
    leaves = [leaf_hash(each.encode()) for each in log.leaves_utf8_in_order]
    keys = LogKeys("example.com/log/testdata", NoteKey.parse(log.verifier_key), None)
    known = None
    for size in range(16):
        note = (TESSERA / "log" / f"checkpoint.{size}").read_text(encoding="utf-8")
        expected = Checkpoint("example.com/log/testdata", size, root_of(leaves[:size]))
        assert open_checkpoint(note, keys.log_key) == expected
        opened = keys.open(note)
        assert opened == VerifiedCheckpoint(expected, None, note)
        path = hashes_to(leaves[:size], size - 1) if size > 1 else []
        known = advance(known, opened, path)
        assert known == opened


def test_a_checkpoint_is_three_lines_of_text() -> None:
    text = f"notary.example\n7\n{ROOT}\n"
    assert checkpoint(7).text == text
    assert Checkpoint.parse(text) == checkpoint(7)
    assert Checkpoint.parse(checkpoint(0).text) == Checkpoint("notary.example", 0, EMPTY_ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"notary.example\n7\n{ROOT}",
        f"notary.example\n7\n{ROOT}\n\n",
        f"notary.example\n7\n{ROOT}\nx",
        f"notary.example\n7\n{ROOT}\nextension\n",
        f"notary.example\n7\n{ROOT}x\n",
        f"notary.example\n7\n{ROOT[:-1]}\n",
        f"notary.example\n7\n{ROOT[:-4]}\n",
        f"notary.example\n7\n{ROOT[:-2]}B=\n",
        f"notary.example\n7\nAAAA{ROOT}\n",
        f"notary.example\n07\n{ROOT}\n",
        f"notary.example\n+7\n{ROOT}\n",
        f"notary.example\n-7\n{ROOT}\n",
        f"notary.example\n 7\n{ROOT}\n",
        f"notary.example\n7 \n{ROOT}\n",
        f"notary.example\n7_0\n{ROOT}\n",
        f"notary.example\n0x7\n{ROOT}\n",
        f"notary.example\n\n{ROOT}\n",
        f"notary.example\n\N{ARABIC-INDIC DIGIT SEVEN}\n{ROOT}\n",
        f"notary.example\n{1 << 63}\n{ROOT}\n",
        f"notary.example\n{'9' * 5000}\n{ROOT}\n",
        f"notary.example\n00\n{ROOT}\n",
        f"notary.example\n0\n{ROOT}\n",
        f"\n7\n{ROOT}\n",
        f"notary.example\r\n7\r\n{ROOT}\r\n",
        f"notary.example\r\n7\n{ROOT}\n",
        f"{'a' * 256}\n7\n{ROOT}\n",
        f"\ud800\n7\n{ROOT}\n",
    ],
)
def test_a_checkpoint_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        Checkpoint.parse(text)


@given(st.integers(0, (1 << 63) - 1))
def test_every_size_below_the_limit_is_read_back(size: int) -> None:
    assert parse_decimal(str(size), "test") == size


@pytest.mark.parametrize(
    "text", [str(1 << 63), "9" * 19, "9" * 5_000, "1.0", "1e3", "5\n", "\u0665"]
)
def test_a_number_at_or_beyond_the_limit_or_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        parse_decimal(text, "test")


def test_a_checkpoint_refuses_to_be_wrong() -> None:
    for origin, size, root in [
        ("", 7, bytes(32)),
        ("a\nb", 7, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 1 << 63, bytes(32)),
        ("a", 7, bytes(31)),
        ("a", 0, bytes(32)),
    ]:
        with pytest.raises(ValueError, match=r"origin|checkpoint|empty tree"):
            Checkpoint(origin, size, root)


def test_a_checkpoint_with_both_signatures_is_accepted() -> None:
    note = signed(checkpoint(7))
    assert KEYS.open(note) == VerifiedCheckpoint(checkpoint(7), AT, note)


def test_a_checkpoint_without_one_of_the_two_signatures_is_refused() -> None:
    text = checkpoint(7).text
    cosigner = Cosigner("clock.example", CLOCKED, AT)
    strangers = [
        sign_note(text, [LOG]),
        sign_note(text, [cosigner]),
        sign_note(text, [LOG, NoteSigner("clock.example", CLOCKED)]),
        sign_note(text, [LOG, Cosigner("clock.example", Ed25519Signer(b"\2" * 32), AT)]),
        sign_note(text, [LOG, Cosigner("other.example", CLOCKED, AT)]),
        sign_note(text, [NoteSigner("notary.example", CLOCKED), cosigner]),
        sign_note(text, [Cosigner("notary.example", LOG.signer, AT), cosigner]),
    ]
    for note in strangers:
        with pytest.raises(InvalidSignature):
            KEYS.open(note.render())


def test_signatures_do_not_carry_over_to_another_checkpoint() -> None:
    note = parse_note(signed(checkpoint(7)))
    for other in (checkpoint(8), checkpoint(7, FORK)):
        moved = other.text + note.render().removeprefix(note.text)
        with pytest.raises(InvalidSignature):
            KEYS.open(moved)


def test_a_log_does_not_speak_for_another_origin() -> None:
    other = Checkpoint("other.example", 7, root_of(LEAVES[:7]))
    with pytest.raises(InvalidSignature, match="another log"):
        KEYS.open(signed(other))
    with pytest.raises(InvalidSignature, match="another log"):
        open_checkpoint(signed(other), LOG.key)


def test_a_note_that_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(MalformedBytes):
        KEYS.open(sign_note("notary.example\n", [LOG]).render())
    with pytest.raises(MalformedBytes):
        KEYS.open("")


def test_log_keys_have_the_types_they_must_have() -> None:
    public = LOG.key.public
    with pytest.raises(ValueError, match="origin"):
        LogKeys("other.example", LOG.key, KEYS.cosigner)
    with pytest.raises(ValueError, match="0x01"):
        LogKeys("notary.example", NoteKey("notary.example", COSIGNATURE, public), KEYS.cosigner)
    with pytest.raises(ValueError, match="0x04"):
        LogKeys("notary.example", LOG.key, NoteKey("clock.example", ED25519, public))


def test_the_first_checkpoint_is_believed() -> None:
    assert advance(None, seen(7), []) == seen(7)


def test_a_log_that_grows_is_followed() -> None:
    for old in range(1, 40):
        assert advance(seen(old), seen(40), hashes_to(LEAVES, old)) == seen(40)
    assert advance(seen(0), seen(40), []) == seen(40)


def test_an_older_checkpoint_that_fits_changes_nothing() -> None:
    assert advance(seen(40), seen(7), hashes_to(LEAVES, 7)) == seen(40)
    assert advance(seen(40), seen(0), []) == seen(40)


def test_of_two_checkpoints_of_one_tree_the_later_cosigned_is_kept() -> None:
    assert advance(seen(7), seen(7, at=AT + 1), []) == seen(7, at=AT + 1)
    assert advance(seen(7, at=AT + 1), seen(7), []) == seen(7, at=AT + 1)


def test_one_size_with_two_roots_is_a_proven_fork_with_both_notes() -> None:
    with pytest.raises(ForkedLog) as caught:
        advance(seen(7), seen(7, FORK), [])
    fork = caught.value
    assert fork.hashes == ()
    assert (fork.origin, fork.known, fork.offered) == (
        "notary.example",
        signed(checkpoint(7)),
        signed(checkpoint(7, FORK)),
    )
    assert KEYS.open(fork.known).checkpoint.root != KEYS.open(fork.offered).checkpoint.root


@pytest.mark.parametrize("old", [1, 7, 8, 32, 39])
def test_two_trees_of_which_none_begins_with_the_other_are_a_fork_that_the_hashes_prove(
    old: int,
) -> None:
    hashes = hashes_to(FORK, old)
    for known, offered in [(seen(old), seen(40, FORK)), (seen(40, FORK), seen(old))]:
        with pytest.raises(ForkedLog) as caught:
            advance(known, offered, hashes)
        fork = caught.value
        assert (fork.known, fork.offered) == (known.note, offered.note)
        larger = seen(40, FORK).checkpoint.root
        assert prefix_root(old, 40, fork.hashes, larger) != seen(old).checkpoint.root


def test_what_hashes_do_not_lead_to_convicts_nobody() -> None:
    for hashes in (
        [],
        hashes_to(LEAVES, 7)[:-1],
        hashes_to(LEAVES, 8),
        hashes_to(FORK, 7),
        [bytes(32), *hashes_to(LEAVES, 7)[1:]],
        [b"short", *hashes_to(LEAVES, 7)[1:]],
    ):
        for known, offered in [(seen(7), seen(40)), (seen(40), seen(7))]:
            with pytest.raises(InvalidProof):
                advance(known, offered, hashes)
    with pytest.raises(InvalidProof):
        advance(seen(0), seen(7), [bytes(32)])


def test_a_log_that_was_smaller_later_is_rolled_back_by_its_own_word() -> None:
    for known, offered in [
        (seen(40), seen(7, at=AT + 1)),
        (seen(7, at=AT + 1), seen(40)),
        (seen(40), seen(0, at=AT + 1)),
    ]:
        with pytest.raises(RolledBack) as caught:
            advance(known, offered, hashes_to(LEAVES, offered.checkpoint.size))
        assert (caught.value.known, caught.value.offered) == (known.note, offered.note)


def test_a_key_that_signs_another_log_is_told_from_a_stranger() -> None:
    other = "other.example"
    text = Checkpoint(other, 7, root_of(LEAVES[:7])).text
    by_it = sign_note(text, [NoteSigner(other, Ed25519Signer(bytes(32)))]).render()
    by_another = sign_note(text, [NoteSigner(other, CLOCKED)]).render()
    assert signed_elsewhere(by_it, LOG.key) == other
    assert signed_elsewhere(by_another, LOG.key) is None
    assert signed_elsewhere(seen(7).note, LOG.key) is None


def test_a_checkpoint_of_another_log_is_not_compared() -> None:
    other = VerifiedCheckpoint(Checkpoint("other.example", 7, root_of(LEAVES[:7])), AT, "")
    with pytest.raises(InvalidProof):
        advance(seen(7), other, [])
