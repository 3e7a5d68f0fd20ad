"""Claims about signed notes: the specification's examples, foreign notes, and hostile ones."""

from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from states.crypto.ed25519 import Ed25519Signer
from states.errors import InvalidSignature, LedgerError, MalformedBytes, OverLimit
from states.note import (
    COSIGNATURE,
    ED25519,
    NOTE_BYTES_MAX,
    Cosigner,
    Note,
    NoteKey,
    NoteSignature,
    NoteSigner,
    decode_base64,
    parse_note,
    sign_note,
    verify_cosigned,
    verify_signed,
)

SKYLIGHT = Path(__file__).parents[3].parent / "shared" / "data" / "vectors" / "tlog" / "skylight"
needs_skylight = pytest.mark.skipif(
    not SKYLIGHT.is_dir(), reason="shared/data/vectors/tlog/skylight absent"
)

# C2SP signed-note, section "Example"
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n"
    "\n"
    "\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH"
    "3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
TEXT = "log.example\n5\n" + b64encode(bytes(32)).decode() + "\n"
LOG = NoteSigner("log.example", Ed25519Signer(bytes(32)))
WITNESS = Cosigner("witness.example", Ed25519Signer(b"\1" * 32), 1_679_315_147)
LINE = "\N{EM DASH} a AAAAAAE=\n"  # key id 0, one byte of signature


def note() -> Note:
    return sign_note(TEXT, [LOG, WITNESS])


def other_raw(signature: NoteSignature, raw: bytes) -> Note:
    return Note(TEXT, (NoteSignature(signature.name, signature.key_id, raw),))


def test_the_example_of_the_specification_verifies() -> None:
    verify_signed(parse_note(EXAMPLE), NoteKey.parse(EXAMPLE_KEY))
    verify_signed(parse_note(EXAMPLE.encode()), NoteKey.parse(EXAMPLE_KEY))


@pytest.mark.parametrize("at", range(0, 27, 5))
def test_the_example_with_another_letter_does_not_verify(at: int) -> None:
    changed = EXAMPLE[:at] + "?" + EXAMPLE[at + 1 :]
    with pytest.raises(InvalidSignature):
        verify_signed(parse_note(changed), NoteKey.parse(EXAMPLE_KEY))


@needs_skylight
@pytest.mark.parametrize(
    ("vkey", "file"),
    [
        (
            "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN",
            "witness/000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706/checkpoint",
        ),
        (
            "witness2.example.org+2e55b896+BIZ7fpceQWd60IfqQeS9IAnmNOCZjMDne8lZuguz/bi9",
            "witness2/88ad7a28caeb0b2aa890fdf0304c2fcaf59fca2ee140134ff8c1300bac493482/checkpoint",
        ),
    ],
)
def test_cosignatures_of_a_foreign_witness_verify(vkey: str, file: str) -> None:
    data = (SKYLIGHT / file).read_bytes()
    assert verify_cosigned(parse_note(data), NoteKey.parse(vkey)) == 1_767_139_200
    with pytest.raises(InvalidSignature):
        verify_cosigned(parse_note(data.replace(b"\n300\n", b"\n301\n")), NoteKey.parse(vkey))


def test_a_verifier_key_has_one_text() -> None:
    for key in (LOG.key, WITNESS.key, NoteKey.parse(EXAMPLE_KEY)):
        assert NoteKey.parse(key.vkey) == key
        assert NoteKey.parse(key.vkey).vkey == key.vkey
    assert NoteKey.parse(EXAMPLE_KEY).vkey == EXAMPLE_KEY
    assert NoteKey("a", ED25519, bytes(32)).id != NoteKey("a", COSIGNATURE, bytes(32)).id


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        EXAMPLE_KEY.replace("530d903a", "530D903A"),
        EXAMPLE_KEY.replace("530d903a", "530d903b"),
        EXAMPLE_KEY.replace("530d903a", "30d903a"),
        EXAMPLE_KEY.replace("foo+", "fo+"),
        EXAMPLE_KEY.replace("example.com/foo", ""),
        EXAMPLE_KEY.replace("example.com/foo", "a b"),
        EXAMPLE_KEY.replace("example.com/foo", "a\N{NO-BREAK SPACE}b"),
        EXAMPLE_KEY.replace("example.com/foo", "\ud800"),
        EXAMPLE_KEY.replace("example.com/foo", "a" * 256),
        EXAMPLE_KEY[:-4],
        EXAMPLE_KEY + "AAAA",
        EXAMPLE_KEY + "\n",
        EXAMPLE_KEY.replace("+Ae", "+Be"),
        "example.com/foo+530d903a+",
        "example.com/foo+530d903a+\N{EM DASH}",
    ],
)
def test_a_verifier_key_in_another_form_is_refused(vkey: str) -> None:
    with pytest.raises(MalformedBytes):
        NoteKey.parse(vkey)


def test_a_key_of_another_type_or_length_is_none() -> None:
    for algorithm in (0, 2, 3, 5, 6, 255, 257):
        with pytest.raises(ValueError, match="not spoken"):
            NoteKey("a", algorithm, bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        NoteKey("a", ED25519, bytes(31))
    with pytest.raises(ValueError, match="name"):
        NoteKey("a\nb", ED25519, bytes(32))


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AA=", "AB==", "AAB=", "AA==\n", " AA==", "A A==",
                                  "AA==AA==", "=", "====", "-_8=", "AA==x", "\N{DIGIT ONE}\u0660=="])  # fmt: skip
def test_base64_has_one_form(text: str) -> None:
    with pytest.raises(MalformedBytes):
        decode_base64(text, "test")


@given(st.binary(max_size=80))
def test_canonical_base64_is_read(data: bytes) -> None:
    assert decode_base64(b64encode(data).decode(), "test") == data


def test_a_signed_note_is_read_back_and_verifies() -> None:
    signed = note()
    assert parse_note(signed.render()) == signed
    assert parse_note(signed.render().encode()) == signed
    verify_signed(signed, LOG.key)
    assert verify_cosigned(signed, WITNESS.key) == WITNESS.at


def test_a_cosignature_is_over_its_header_its_time_and_the_text() -> None:
    raw = sign_note(TEXT, [WITNESS]).signatures[0].raw
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    assert raw == (1_679_315_147).to_bytes(8, "big") + WITNESS.signer.sign(message)


def test_a_cosignature_at_another_time_does_not_verify() -> None:
    signature = sign_note(TEXT, [WITNESS]).signatures[0]
    for at in (0, WITNESS.at - 1, WITNESS.at + 1, 1 << 63, (1 << 64) - 1):
        with pytest.raises(InvalidSignature):
            verify_cosigned(other_raw(signature, at.to_bytes(8) + signature.raw[8:]), WITNESS.key)


def test_a_time_beyond_the_limit_is_refused_even_if_signed() -> None:
    late = Cosigner(WITNESS.name, WITNESS.signer, 1 << 63)
    with pytest.raises(InvalidSignature, match="beyond"):
        verify_cosigned(sign_note(TEXT, [late]), WITNESS.key)


def test_a_signature_of_another_length_does_not_verify() -> None:
    for raw in (b"", b"\1", note().signatures[0].raw[:-1], note().signatures[0].raw + b"\0"):
        with pytest.raises(InvalidSignature):
            verify_signed(other_raw(note().signatures[0], raw), LOG.key)
        with pytest.raises(InvalidSignature):
            verify_cosigned(other_raw(note().signatures[1], raw), WITNESS.key)


def test_only_name_and_key_id_together_find_a_key() -> None:
    good = note().signatures[0]
    for name, key_id in (("other.example", good.key_id), (good.name, bytes(4))):
        strange = Note(TEXT, (NoteSignature(name, key_id, good.raw),))
        with pytest.raises(InvalidSignature, match="not signed"):
            verify_signed(strange, LOG.key)


def test_one_key_does_not_sign_for_the_other_type() -> None:
    as_cosigner = NoteKey(LOG.name, COSIGNATURE, LOG.key.public)
    with pytest.raises(InvalidSignature):
        verify_cosigned(note(), as_cosigner)
    moved = Note(
        TEXT, (NoteSignature(LOG.name, as_cosigner.id, bytes(8) + note().signatures[0].raw),)
    )
    with pytest.raises(InvalidSignature):
        verify_cosigned(moved, as_cosigner)


def test_signatures_of_unknown_keys_are_kept_and_ignored() -> None:
    text = note().render() + "\N{EM DASH} pq.example " + b64encode(bytes(5_000)).decode() + "\n"
    known = parse_note(text)
    assert known.render() == text
    verify_signed(known, LOG.key)


def test_a_text_may_have_empty_lines_and_any_script() -> None:
    text = "\n\nOgnuno sta solo\n\n\N{EM DASH} sul cuor\n\ned \N{LATIN SMALL LETTER E WITH GRAVE}\n"
    signed = sign_note(text, [LOG])
    assert signed.text == text
    verify_signed(signed, LOG.key)


def test_sixteen_signatures_are_read_and_seventeen_are_not() -> None:
    lines = [f"\N{EM DASH} a{at} AAAAAAE=\n" for at in range(17)]
    assert len(parse_note("x\n\n" + "".join(lines[:16])).signatures) == 16
    with pytest.raises(OverLimit):
        parse_note("x\n\n" + "".join(lines))


def test_a_note_over_the_limit_is_not_even_looked_at() -> None:
    for text in ("x" * (NOTE_BYTES_MAX + 1), "\N{EM DASH}" * (NOTE_BYTES_MAX // 2)):
        with pytest.raises(OverLimit):
            parse_note(text)
        with pytest.raises(OverLimit):
            parse_note(text.encode())


def test_the_shortest_note_is_one() -> None:
    assert parse_note("x\n\n" + LINE).signatures == (NoteSignature("a", bytes(4), b"\1"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n",
        "x",
        "x\n",
        "x\n\n",
        "x\n\n\n",
        "\n\n" + LINE,
        "x\n" + LINE,
        "x\n\n" + LINE[:-1],
        "x\n\n" + LINE + "\n",
        "x\n\n" + LINE + LINE,
        "x\n\n" + LINE + LINE.replace("AAE=", "AAI="),
        "x\n\n" + LINE + "y\n",
        "x\n\n" + LINE.replace("\n", "\r\n"),
        "x\r\n\r\n" + LINE,
        "x\r\n\n" + LINE,
        "x\ty\n\n" + LINE,
        "x\0\n\n" + LINE,
        "x\x1f\n\n" + LINE,
        "x\n\n" + LINE.replace("\N{EM DASH}", "-"),
        "x\n\n" + LINE.replace("\N{EM DASH} ", "\N{EM DASH}"),
        "x\n\n" + LINE.replace(" a ", " a  "),
        "x\n\n" + LINE.replace(" a ", "  "),
        "x\n\n" + LINE.replace(" a ", " a+b "),
        "x\n\n" + LINE.replace(" a ", " a\N{NO-BREAK SPACE}b "),
        "x\n\n" + LINE.replace(" a ", " a\x85b "),
        "x\n\n" + LINE.replace(" a ", " " + "a" * 256 + " "),
        "x\n\n" + LINE.replace("AAAAAAE=", "AAAAAAF="),
        "x\n\n" + LINE.replace("AAAAAAE=", "AAAAAAE"),
        "x\n\n" + LINE.replace("AAAAAAE=", "AAAAAA=="),
        "x\n\n" + LINE.replace("AAAAAAE=", "AAA="),
        "x\n\n" + LINE.replace("AAAAAAE=", ""),
        "x\n\n" + LINE.replace("AAAAAAE=", "AAAAAAE= "),
        "\ud800\n\n" + LINE,
    ],
)
def test_what_the_specification_forbids_is_refused(text: str) -> None:
    with pytest.raises(MalformedBytes):
        parse_note(text)


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedBytes):
        parse_note(b"\xff\n\n" + LINE.encode())


def test_a_text_that_nobody_could_read_is_not_signed() -> None:
    for text in ("", "no newline", "a\tb\n"):
        with pytest.raises(MalformedBytes):
            sign_note(text, [LOG])
    with pytest.raises(MalformedBytes):
        sign_note(TEXT, [])
    with pytest.raises(MalformedBytes):
        sign_note(TEXT, [LOG, LOG])


@given(st.data())
def test_no_cut_or_changed_note_passes_for_the_signed_one(draw: st.DataObject) -> None:
    data = bytearray(note().render().encode())
    at = draw.draw(st.integers(0, len(data) - 1))
    if draw.draw(st.booleans()):
        del data[at:]
    else:
        data[at] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(LedgerError):
        verify_both(bytes(data))


def verify_both(data: bytes) -> None:
    changed = parse_note(data)
    assert changed.render().encode() == data
    verify_signed(changed, LOG.key)
    verify_cosigned(changed, WITNESS.key)


def test_base64_of_the_example_is_what_it_is_over() -> None:
    line = EXAMPLE.splitlines()[-1].split(" ")[2]
    assert b64decode(line)[:4] == NoteKey.parse(EXAMPLE_KEY).id
