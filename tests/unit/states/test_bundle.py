"""Proof bundles: what one proves, and each step refusing what it is there to refuse."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as but

from states.bundle import BundleRefused, Check, verify_bundle
from states.bundle_format import Bundle
from states.crypto.signatures import sign_transaction
from states.encoding import encode
from states.errors import MalformedBytes
from states.findings import (
    CLOCK,
    NO_COPY,
    NO_EXCEPTIONS,
    NOTHING_ELSE,
    STILL_SO,
    UNSPENT,
    WHETHER_READ,
    WHICH_IS_TRUE,
)
from states.reading import READING, Restored
from states.state import StateRef, TransactionId
from states.subjects.disclosure import Item, Who
from states.subjects.terms import Exceptions, Opening, SubjectAt, Terms
from states.trust import read_trust, trust_in
from tests.unit.states.proof_world import (
    DR_REED,
    MINUTE,
    NETWORK,
    NOW,
    PARAMETERS,
    TRUST,
    Story,
    enrolment,
    in_log,
    member,
    published,
    seeded,
    signer,
    without,
)

STORY = Story()
GOOD = STORY.bundle()


def refused(bundle: Bundle, check: Check) -> None:
    with pytest.raises(BundleRefused) as refusal:
        verify_bundle(encode(bundle), TRUST)
    assert refusal.value.check is check, str(refusal.value)


def test_a_reading_is_proven_to_who_pins_only_the_network() -> None:
    found = verify_bundle(encode(GOOD), TRUST)
    assert found.who == "Dr A. Reed, clinician, Riverside: read it"
    assert found.when == "2026-11-22 10:30:00 UTC"
    assert found.what == "laboratory: Observation 4548-4 of 2026-11-20, kept by Mercy"
    assert found.why == "TREAT"
    assert [step.step for step in found.steps] == [2, 3, 4, 4, 5, 6, 7, 8]
    assert found.cannot == (NOTHING_ELSE, NO_COPY, CLOCK, UNSPENT, NO_EXCEPTIONS)


def test_names_of_the_patient_and_what_she_excepted_need_not_be_shown() -> None:
    disclosure, consent = GOOD.transactions
    torn = without(consent, SubjectAt, Exceptions)
    assert len(encode(torn)) < len(encode(consent))
    verify_bundle(encode(but(GOOD, transactions=(disclosure, torn))), TRUST)


def test_without_a_statement_of_liveness_the_receipt_is_one() -> None:
    found = verify_bundle(encode(but(GOOD, liveness=None)), TRUST)
    assert "receipt" in found.steps[-1].said


def test_a_disclosure_and_a_record_are_proven_without_a_reading() -> None:
    _, _, record = STORY.proven()
    disclosed = but(GOOD, subject="disclosure", reading=None)
    found = verify_bundle(encode(disclosed), TRUST)
    assert found.who == "Dr A. Reed, clinician, Riverside: may read it"
    assert found.cannot == (WHETHER_READ, UNSPENT, NO_EXCEPTIONS)
    published_ = but(disclosed, subject="record", transactions=(record,), liveness=None)
    found = verify_bundle(encode(published_), TRUST)
    assert found.who == "Mercy: published it"
    assert found.cannot == (STILL_SO,)


def test_a_reading_inside_the_custodian_is_proven_with_the_record() -> None:
    own = replace(STORY, read_by="Mercy", reading_key="Mercy, readings")
    bundle = but(
        GOOD, reading=own.reported(own=True), transactions=STORY.proven()[2:], liveness=None
    )
    found = verify_bundle(encode(bundle), TRUST)
    assert found.what == "laboratory: Observation 4548-4 of 2026-11-20, kept by Mercy"
    assert found.cannot == (NOTHING_ELSE, NO_COPY, CLOCK), "it rests on no consent"
    other = replace(own, read_items=(seeded("unknown"),)).reported(own=True)
    with pytest.raises(BundleRefused):
        verify_bundle(encode(but(bundle, reading=other)), TRUST)


def test_a_refused_request_is_proven_too_whoever_asked() -> None:
    asked = replace(STORY, outcome="refused", person=seeded("s20")[:16], shown_as="Dr B. Hale")
    found = verify_bundle(encode(asked.bundle()), TRUST)
    assert found.who == "Dr B. Hale, clinician, Riverside: asked for it and was refused"


def test_a_refusal_without_a_disclosure_does_not_say_who_keeps_what_was_asked_for() -> None:
    asked = replace(STORY, outcome="refused", read_items=())
    bundle = but(GOOD, reading=asked.reported(own=True), transactions=(), liveness=None)
    found = verify_bundle(encode(bundle), TRUST)
    assert found.who == "Dr A. Reed, clinician, Riverside: asked for it and was refused"
    assert found.what == "a record whose kind is not shown"
    assert found.cannot == (NOTHING_ELSE, CLOCK), "there was nothing to copy"


def test_text_of_others_cannot_steer_a_terminal() -> None:
    found = verify_bundle(encode(replace(STORY, shown_as="Dr\x1b[2J\nAda").bundle()), TRUST)
    assert found.who.isprintable()


def test_the_patient_is_named_where_she_wants_to_be() -> None:
    found = verify_bundle(encode(but(GOOD, enrolment=enrolment())), TRUST)
    assert found.steps[-1].step == Check.ENROLMENT
    refused(but(GOOD, enrolment=enrolment(authority="Mallory")), Check.ENROLMENT)
    refused(but(GOOD, enrolment=enrolment(custodian="Riverside")), Check.ENROLMENT)


# -- each step refuses -------------------------------------------------------------------------------


def test_bytes_that_are_no_bundle_are_refused() -> None:
    data = encode(GOOD)
    for bad in (b"", data[:-1], data + b"\0", data.replace(b"bundle/2", b"bundle/1")):
        with pytest.raises(BundleRefused) as refusal:
            verify_bundle(bad, TRUST)
        assert refusal.value.check is Check.READABLE


def test_another_networks_rules_are_refused() -> None:
    with pytest.raises(BundleRefused) as refusal:
        verify_bundle(encode(GOOD), trust_in("another", signer("Mallory").key))
    assert refusal.value.check is Check.PARAMETERS
    refused(but(GOOD, parameters=(published(by="Mallory"),)), Check.PARAMETERS)


def test_rules_that_name_another_notary_need_the_founding_key() -> None:
    forged = but(PARAMETERS, operators=(signer("Mallory").key,))
    refused(but(GOOD, parameters=(published(forged, by="Mallory"),)), Check.PARAMETERS)


def test_a_map_entry_that_no_operator_signed_is_refused() -> None:
    members = (member("Mercy"), member("Riverside", operator="Mallory"))
    refused(but(GOOD, members=members), Check.MEMBERS)


def test_one_member_twice_is_refused() -> None:
    members = (member("Mercy"), member("Riverside"), member("Mercy"))
    refused(but(GOOD, members=members), Check.MEMBERS)


def test_a_reading_inside_one_custodian_is_not_proven_by_the_record_of_another() -> None:
    own = replace(STORY, read_by="Riverside").reported(own=True)
    bundle = but(GOOD, reading=own, transactions=STORY.proven()[2:], liveness=None)
    with pytest.raises(BundleRefused, match="does not show"):
        verify_bundle(encode(bundle), TRUST)


def test_a_missing_member_is_refused() -> None:
    refused(but(GOOD, members=(member("Mercy"),)), Check.TRANSACTIONS)


def test_a_missing_or_foreign_signature_or_receipt_is_refused() -> None:
    disclosure, consent = GOOD.transactions
    one_missing = but(disclosure, signatures=disclosure.signatures[:1])
    forged = sign_transaction(signer("Mallory"), NETWORK, seeded("x"))
    for bad in (
        one_missing,
        but(disclosure, signatures=(disclosure.signatures[0], forged)),
        but(disclosure, receipt=consent.receipt),
    ):
        refused(but(GOOD, transactions=(bad, consent)), Check.TRANSACTIONS)


def test_a_transaction_twice_is_refused() -> None:
    disclosure, consent = GOOD.transactions
    refused(but(GOOD, transactions=(disclosure, consent, consent)), Check.TRANSACTIONS)


def test_an_entry_of_another_log_or_an_altered_one_is_refused() -> None:
    assert GOOD.reading is not None
    mallory = replace(STORY, reading_key="Mallory").reported()
    for bad in (mallory, but(GOOD.reading, salt=bytes(32))):
        refused(but(GOOD, reading=bad), Check.READING)


@pytest.mark.parametrize(
    "story",
    [
        replace(STORY, person=seeded("s20")[:16]),
        replace(STORY, read_at=NOW + 1_440 * MINUTE),
        replace(STORY, read_items=(seeded("unknown"),)),
        replace(STORY, disclosure_named=seeded("another disclosure")),
        replace(STORY, read_by="Mercy", reading_key="Mercy, readings"),
    ],
    ids=["person", "time", "item", "disclosure", "organisation"],
)
def test_a_reading_beyond_its_disclosure_is_refused(story: Story) -> None:
    refused(but(GOOD, reading=story.reported()), Check.DISCLOSURE)


def test_a_disclosure_whose_reader_or_item_or_consent_is_not_shown_is_refused() -> None:
    disclosure, consent = GOOD.transactions
    for kind in (Who, Item):
        torn = without(disclosure, kind)
        refused(but(GOOD, transactions=(torn, consent)), Check.DISCLOSURE)
    refused(but(GOOD, transactions=(disclosure,)), Check.DISCLOSURE)
    # The consent must come behind what refers to it.
    refused(but(GOOD, transactions=(consent, disclosure)), Check.DISCLOSURE)


@pytest.mark.parametrize(
    "terms",
    [
        Terms("permit", DR_REED, None, ("HPAYMT",), ("laboratory",), ()),
        Terms("permit", DR_REED, None, ("TREAT",), ("genetics",), ()),
        Terms("permit", seeded("s20")[:16], None, ("TREAT",), ("laboratory",), ()),
        Terms("permit", None, "pharmacist", ("TREAT",), ("laboratory",), ()),
        Terms("deny", DR_REED, None, ("TREAT",), ("laboratory",), ()),
    ],
    ids=["purpose", "category", "person", "role", "denial"],
)
def test_a_consent_that_does_not_cover_the_disclosure_is_refused(terms: Terms) -> None:
    refused(replace(STORY, terms=terms).bundle(), Check.CONSENT)


def test_a_purpose_beneath_the_one_agreed_is_covered() -> None:
    verify_bundle(
        encode(
            replace(STORY, terms=Terms("permit", None, "clinician", ("TREAT",), (), ())).bundle()
        ),
        TRUST,
    )


def test_terms_that_are_not_shown_are_no_terms() -> None:
    disclosure, consent = GOOD.transactions
    refused(but(GOOD, transactions=(disclosure, without(consent, Terms))), Check.CONSENT)


def test_a_statement_about_another_state_or_a_dead_one_is_refused() -> None:
    other = StateRef(TransactionId(seeded("other")), 0)
    for story in (replace(STORY, liveness_of=other), replace(STORY, live=False)):
        refused(but(GOOD, liveness=story.statement()), Check.LIVENESS)
    disclosure, consent = GOOD.transactions
    hidden = without(consent, Opening)
    refused(but(GOOD, transactions=(disclosure, hidden)), Check.LIVENESS)


def test_every_changed_byte_is_refused_or_changes_nothing_that_is_said() -> None:
    """Bit flips over the whole bundle: no forged sentence ever comes out."""
    data = encode(GOOD)
    good = verify_bundle(data, TRUST)
    for at in range(0, len(data), 61):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            found = verify_bundle(changed, TRUST)
        except BundleRefused:
            continue
        assert (found.who, found.when, found.what, found.why) == (
            good.who,
            good.when,
            good.what,
            good.why,
        )


# -- the trust file -----------------------------------------------------------------------------------


def test_a_trust_file_is_one_line_and_reads_back() -> None:
    assert TRUST.line.count("\n") == 1
    assert read_trust(TRUST.line) == TRUST
    assert TRUST.name == "proof tests"


def test_a_trust_file_that_does_not_fit_together_is_refused() -> None:
    line = TRUST.line
    for bad in (
        "",
        line + line,
        line.replace("proof", "other"),
        line.replace(TRUST.network.hex(), TRUST.network.hex().upper()),
        line.replace(TRUST.network.hex(), "00" * 32),
        "\x1b" + line,
        line.replace("\n", "\r\n"),
    ):
        with pytest.raises(MalformedBytes):
            read_trust(bad)


def said(bundle: Bundle) -> str:
    return "\n".join(step.said for step in verify_bundle(encode(bundle), TRUST).steps)


def test_a_line_that_another_contradicts_is_proven_with_it_and_which_is_true_is_not() -> None:
    other = replace(STORY, shown_as="Dr B. Hale", person=seeded("s20")[:16]).reported()
    bundle = but(GOOD, other=other)
    found = verify_bundle(encode(bundle), TRUST)
    assert found.who == "Dr A. Reed, clinician, Riverside: read it"
    assert found.cannot == (WHICH_IS_TRUE, *verify_bundle(encode(GOOD), TRUST).cannot)
    assert "as number 1 of its chain (Dr B. Hale, clinician: read it" in said(bundle)
    forged = but(other, salt=seeded("another salt"))
    unrelated = replace(STORY, read_by="Mercy", reading_key="Mercy, readings").reported()
    for bad in (GOOD.reading, forged, unrelated):
        refused(but(GOOD, other=bad), Check.READING)
    with pytest.raises(ValueError, match="contradicts a reading"):
        but(GOOD, subject="disclosure", reading=None, other=other)


def test_a_line_of_a_restored_log_says_so() -> None:
    entry = READING.decode(STORY.reported().body)
    after = but(entry, restored=Restored(seeded("epoch")[:16], NOW, 0))
    reported = in_log(after, STORY.reported().salt, "Riverside", "Riverside, readings")
    bundle = but(GOOD, reading=reported)
    words = "restored from a backup at 2026-11-22 10:00:00 UTC and goes on after number 0"
    assert words not in said(GOOD)
    assert words in said(bundle)
