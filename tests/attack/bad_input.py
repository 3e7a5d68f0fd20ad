"""The table of bad input: input → error → words → what is unchanged → the tests that say so.

Each row is a claim about the product. One of its tests at least meets the input and hands what answered it to `said`,
which holds it against the row: a row with another type or other words than the product's fails that test.
"""

from enum import Enum
from importlib import import_module
from typing import NamedTuple


class Row(NamedTuple):
    """One kind of bad input. `error` is where the type is of what answers it, `words` a part of what that says."""

    key: str
    given: str
    error: str
    words: str
    unchanged: str
    tests: tuple[str, ...]


LEDGER = "states.errors:"
FLOW = "flows.flow:"
NOTARY = "states.notarisation:"

TABLE = (
    # -- messages -----------------------------------------------------------------------------------------
    Row(
        "malformed",
        "malformed message: unknown tag, missing or surplus field, trailing byte, cut short",
        LEDGER + "MalformedBytes",
        "proven transaction: ",
        "ledger, statements, parts: all",
        (
            "contracts/test_encodings.py::test_other_bytes_are_another_value_or_none",
            "unit/flows/test_engine.py::test_a_malformed_message_ends_the_flow_that_took_it",
            "unit/notaries/test_request.py::test_other_bytes_than_a_question_are_refused",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
            "attack/test_notices.py::test_rubbish_parts_and_messages_end_the_flow_and_park_nothing",
        ),
    ),
    Row(
        "not canonical",
        "a value in another than its one canonical encoding",
        LEDGER + "MalformedBytes",
        "not the canonical encoding",
        "all",
        (
            "contracts/test_encodings.py::test_two_byte_forms_of_one_value_are_not_both_accepted",
            "unit/notaries/test_request.py::test_a_lock_in_another_encoding_is_no_lock",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
        ),
    ),
    Row(
        "oversized",
        "oversized message, policy, question or arguments",
        LEDGER + "OverLimit",
        "is over the limit of",
        "nothing is sent, kept or read",
        (
            "unit/flows/test_engine.py::test_too_large_a_message_ends_its_flow_and_is_not_sent",
            "unit/flows/test_limits.py::test_arguments_have_a_limit",
            "unit/notaries/test_request.py::test_a_question_beyond_the_limit_is_not_even_read",
            "unit/states/test_receipt.py::test_a_receipt_over_a_limit_is_refused",
            "attack/test_deliveries.py::test_recovery_pages_fit_an_envelope_however_large_the_transactions",
        ),
    ),
    # -- signatures, network, parameters ------------------------------------------------------------------
    Row(
        "signature",
        "a signature that does not verify, over other bytes, or of another protocol",
        LEDGER + "InvalidSignature",
        "does not verify by its key",
        "all",
        (
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
            "unit/states/crypto/test_signatures.py::test_a_signature_is_for_one_network_transaction_key_and_meta",
            "unit/states/crypto/test_signatures.py::test_evidence_is_no_signature_of_a_transaction",
            "unit/states/crypto/test_webauthn.py::test_client_data_with_one_thing_wrong_is_refused_for_it",
            "unit/notaries/test_request.py::test_a_signature_that_does_not_verify_refuses_the_request",
        ),
    ),
    Row(
        "other network",
        "something signed for another network",
        LEDGER + "InvalidSignature",
        "of another network",
        "all",
        (
            "unit/app/network/test_network_map.py::test_an_entry_of_another_network_is_refused",
            "unit/app/transport/test_hostile.py::test_who_greets_for_another_network_is_refused",
            "unit/notaries/test_request.py::test_a_signature_over_another_transaction_or_network_does_not_verify",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
        ),
    ),
    Row(
        "parameters",
        "parameters that are unknown, or not in force when the window opens",
        "states.parameters:UnknownParameters",
        "are known here",
        "all",
        (
            "unit/notaries/test_request.py::test_parameters_that_are_not_in_force_are_refused",
            "unit/app/network/test_network_map.py::test_parameters_are_refused_out_of_order_twice_told_or_forged",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
        ),
    ),
    Row(
        "missing signer",
        "a missing signer",
        LEDGER + "InvalidSignature",
        "a required signature is missing",
        "all",
        (
            "contracts/test_disclosure.py::test_both_who_are_asked_must_have_signed",
            "contracts/test_restriction.py::test_a_patient_who_is_asked_must_have_signed",
            "contracts/test_record.py::test_a_custodian_who_is_asked_must_have_signed",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
        ),
    ),
    Row(
        "other key",
        "a consent for a patient whose enrolment names another key",
        "states.subjects.pinned:NotPinned",
        "the authority is not that of the enrolment",
        "statements",
        (
            "contracts/test_consent.py::test_a_forged_consent_is_refused_by_the_pin_though_the_ledger_accepts_it",
            "attack/test_enrolments.py::test_a_code_for_one_patient_does_not_take_over_the_name_of_another",
            "attack/test_enrolments.py::test_a_used_code_does_not_exchange_the_key_of_the_enrolment_that_it_made",
        ),
    ),
    # -- sessions -----------------------------------------------------------------------------------------
    Row(
        "session",
        "session messages replayed, reordered, left out, or of another peer's session",
        FLOW + "SessionLost",
        "cannot go on",
        "the other sessions and the flow's journal",
        (
            "unit/flows/test_engine.py::test_loss_repetition_and_disorder_change_nothing",
            "unit/flows/test_engine.py::test_a_flow_that_expects_no_lost_session_ends_by_it",
            "unit/flows/test_engine.py::test_a_hostile_gap_loses_the_session_on_both_sides",
            "unit/flows/test_engine.py::test_a_peer_cannot_take_over_a_session_that_was_opened_to_it",
            "unit/app/transport/test_hostile.py::test_a_frame_played_twice_ends_the_link_and_is_taken_once",
            "unit/app/transport/test_hostile.py::test_a_recorded_greeting_makes_no_link_and_harms_the_one_that_stands_in_nothing",
            "attack/test_ciphertext.py::test_another_session_of_a_stranger_does_not_get_the_chunks",
            "attack/test_requests.py::test_a_request_with_a_number_that_was_used_is_refused_and_parks_nothing",
        ),
    ),
    Row(
        "responder",
        "an unknown responder, sessions or early messages without end",
        FLOW + "CounterpartyFailed",
        "ended the session: unknown-responder",
        "memory and disk beyond the limits",
        (
            "unit/flows/test_engine.py::test_a_flow_that_expects_its_peer_to_answer_ends_where_nobody_does",
            "unit/flows/test_engine.py::test_an_unknown_responder_is_rejected",
            "unit/flows/test_engine.py::test_a_peer_may_not_open_sessions_without_end",
            "unit/flows/test_engine.py::test_a_session_may_not_pile_up_early_messages",
            "unit/flows/test_engine.py::test_letters_beyond_the_limit_wait_at_their_sender",
        ),
    ),
    # -- lying peers --------------------------------------------------------------------------------------
    Row(
        "kept back",
        "a recipient that keeps its signature back until something is closed or revoked",
        "flows.subjects.blob:NotReleased",
        "NotReleased(tx=",
        "no key leaves; the disclosure ends as not released",
        (
            "attack/test_requests.py::test_a_recipient_gets_no_key_of_what_was_closed_while_he_kept_his_signature_back",
            "attack/test_requests.py::test_a_recipient_gets_no_key_after_revocation",
        ),
    ),
    Row(
        "chunks",
        "a recipient that asks for chunks which it was not given, or without end",
        FLOW + "FlowRefused",
        "Nothing available.",
        "no chunk leaves",
        (
            "attack/test_ciphertext.py::test_a_recipient_gets_no_chunk_of_an_item_that_was_not_disclosed",
            "attack/test_ciphertext.py::test_a_recipient_that_asks_without_end_is_ended",
        ),
    ),
    Row(
        "swapped",
        "a custodian that swaps bytes, or sends more than there is",
        "app.blobs.errors:WrongCid",
        "is offered as",
        "the blob store",
        (
            "attack/test_ciphertext.py::test_bytes_that_a_custodian_swapped_are_not_kept",
            "attack/test_ciphertext.py::test_a_custodian_that_sends_more_than_there_is_is_ended",
        ),
    ),
    Row(
        "left out",
        "a bringer that leaves out what a holder may read, or brings what rests on nothing",
        "app.vault.reader:PartlyShown",
        "is brought without all that its holders read",
        "the vault; the whole transaction is still taken when another brings it",
        (
            "attack/test_deliveries.py::test_an_agent_does_not_take_a_disclosure_without_all_that_it_may_read",
            "attack/test_deliveries.py::test_a_forged_transaction_that_rests_on_nothing_waits_for_nobody",
            "attack/test_deliveries.py::test_a_peer_that_reminds_without_end_does_not_fill_the_disk",
        ),
    ),
    Row(
        "not concerned",
        "a transaction or notice that does not concern the receiver, or not its bringer",
        "app.vault.vault:NotConcerned",
        "does not concern this node and its bringer",
        "vault, notices",
        (
            "attack/test_notices.py::test_nobody_says_since_when_he_acts_on_what_does_not_concern_him",
            "attack/test_notices.py::test_only_its_custodian_withdraws_or_supersedes_an_item",
            "attack/test_notices.py::test_a_recipient_cannot_withdraw_at_the_agent_what_it_was_shown",
        ),
    ),
    Row(
        "code",
        "a one-time code that is wrong, late, or used before",
        FLOW + "FlowRefused",
        "the one-time code is not valid; ask for a new one at the desk",
        "every enrolment",
        (
            "attack/test_enrolments.py::test_a_guessed_code_is_worth_nothing_and_a_late_one_too",
            "attack/test_enrolments.py::test_a_code_is_used_once",
            "attack/test_enrolments.py::test_two_codes_for_one_patient_make_one_enrolment",
        ),
    ),
    # -- contracts and notary -----------------------------------------------------------------------------
    Row(
        "clause",
        "a transaction that breaks a clause",
        LEDGER + "RuleBroken",
        "breaks",
        "all; the corpora hold a case for each clause",
        (
            "contracts/test_fail_closed.py::test_a_contract_refuses_every_command_but_its_own",
            "contracts/test_fail_closed.py::test_a_command_does_not_do_the_work_of_another",
            "contracts/test_corpora.py::test_every_clause_is_broken_by_a_case_of_its_own",
        ),
    ),
    Row(
        "foreign notary",
        "a foreign notary, or states of two",
        "states.verifier:WrongNotary",
        "is no notary of this network",
        "all",
        (
            "contracts/test_disclosure.py::test_a_consent_at_another_notary_is_no_basis",
            "unit/notaries/test_request.py::test_a_transaction_for_another_notary_is_refused",
            "attack/test_bad_input.py::test_a_brought_transaction_with_one_thing_wrong_is_refused_by_name",
        ),
    ),
    Row(
        "early window",
        "a window that is not open yet",
        NOTARY + "WindowNotOpen",
        "WindowNotOpen(now=",
        "log and states; the flow asks again",
        (
            "unit/notaries/test_uniqueness.py::test_the_window_is_half_open",
            "attack/test_bad_input.py::test_a_notary_whose_clock_is_behind_is_asked_again",
        ),
    ),
    Row(
        "closed window",
        "a window that closed before the notary was reached: what the notary answers",
        NOTARY + "WindowClosed",
        "WindowClosed(now=",
        "log and states: nothing is consumed",
        (
            "unit/notaries/test_uniqueness.py::test_the_window_is_half_open",
            "unit/notaries/test_uniqueness.py::test_a_refused_window_consumes_nothing",
            "unit/notaries/test_uniqueness.py::test_who_was_told_that_the_window_is_closed_is_not_told_otherwise",
        ),
    ),
    Row(
        "lapsed flow",
        "a window that closed before the notary was reached: what who asked reads",
        "flows.finality:WindowLapsed",
        "the time-window closed before the notary was reached",
        "the draft is gone; nothing else is",
        ("attack/test_bad_input.py::test_a_flow_whose_window_closes_each_time_says_so",),
    ),
    Row(
        "long window",
        "a window that is too long",
        NOTARY + "NotAllowed",
        "code='window'",
        "all",
        ("unit/notaries/test_request.py::test_a_window_longer_than_the_network_allows_is_refused",),
    ),
    Row(
        "spent",
        "a spent input or reference",
        NOTARY + "Conflict",
        "consumed=(ConsumedState(",
        "log; the spender is named by a hash",
        (
            "unit/notaries/test_uniqueness.py::test_a_consumed_input_is_refused_and_its_spender_named_by_hash",
            "unit/notaries/test_uniqueness.py::test_a_consumed_reference_is_refused",
            "unit/notaries/test_uniqueness.py::test_in_one_batch_who_is_refused_takes_nothing",
        ),
    ),
    Row(
        "unknown",
        "an unknown or unopened input",
        NOTARY + "NotAllowed",
        "code='unknown-state'",
        "log",
        (
            "unit/notaries/test_uniqueness.py::test_a_state_of_a_transaction_that_is_not_in_the_log_is_unknown",
            "unit/notaries/test_request.py::test_openings_are_one_a_state_and_in_order",
            "unit/notaries/test_request.py::test_the_lock_of_another_output_does_not_open",
        ),
    ),
    Row(
        "stranger",
        "a stranger who spends, refers or probes",
        NOTARY + "NotAllowed",
        "code='not-allowed'",
        "log; the answer does not depend on the state",
        (
            "unit/notaries/test_request.py::test_a_stranger_who_knows_a_reference_cannot_consume_it",
            "unit/notaries/test_request.py::test_a_stranger_cannot_refer_to_a_state_either",
            "unit/notaries/test_uniqueness.py::test_a_liar_can_neither_consume_nor_probe_anothers_place",
            "unit/notaries/test_service.py::test_one_strange_state_refuses_the_whole_question",
        ),
    ),
    # -- bytes at rest ------------------------------------------------------------------------------------
    Row(
        "blob",
        "a tampered blob",
        "app.blobs.errors:BlobDamaged",
        "blob b",
        "nothing of the altered chunk is released",
        (
            "unit/app/blobs/test_store_conformance.py::test_a_damaged_blob_is_never_served",
            "unit/app/blobs/test_cipher.py::test_nothing_of_an_altered_chunk_is_released_and_all_before_it_is",
            "unit/app/blobs/test_cipher.py::test_no_bit_can_be_flipped",
        ),
    ),
    Row(
        "truncated",
        "a truncated file",
        "app.blobs.errors:BlobTruncated",
        "chunk 3: ",
        "what was released before the cut is what was sealed",
        (
            "unit/app/blobs/test_cipher.py::test_a_blob_cut_inside_a_chunk_is_truncated",
            "unit/app/blobs/test_cipher.py::test_a_blob_cut_between_chunks_is_truncated",
            "unit/app/keystore/test_key_file.py::test_a_file_that_is_cut_anywhere_is_damaged",
        ),
    ),
    Row(
        "configuration",
        "a bad configuration",
        "app.config:ConfigRefused",
        "a node cannot run with ",
        "the node does not start; every reason is told at once, and no secret",
        (
            "unit/app/test_config.py::test_every_reason_is_told_at_once",
            "unit/app/test_config.py::test_a_bad_field_is_named_with_what_is_allowed",
            "unit/app/test_config.py::test_no_secret_is_shown_by_a_value_or_by_a_refusal",
        ),
    ),
    Row(
        "full disk",
        "a full disk",
        "sqlite3:OperationalError",
        "database or disk is full",
        "the turn: nothing of it happened, and it goes on when there is room",
        (
            "attack/test_bad_input.py::test_a_full_disk_changes_nothing_and_the_node_goes_on_when_there_is_room",
            "unit/notaries/test_sqlite.py::test_a_fault_at_any_write_leaves_all_or_nothing",
            "unit/app/keystore/test_key_file.py::test_a_disk_that_fails_leaves_the_old_file_or_the_new_one",
        ),
    ),
    Row(
        "no database",
        "a vault whose header is gone, that is cut short or empty",
        "app.storage.database:DatabaseDamaged",
        "with `carecord restore BACKUP FOLDER`",
        "the file; the node does not start",
        (
            "attack/test_bad_input.py::test_a_vault_that_is_no_database_is_not_opened",
            "unit/app/cli/test_commands.py::test_a_node_whose_vault_is_damaged_names_the_file_and_what_to_do",
        ),
    ),
    Row(
        "altered row",
        "a stored transaction that somebody changed in the vault",
        "app.vault.reader:AlteredTransaction",
        "restore the node from a backup",
        "it is neither read nor sent; nobody else believes what it says now",
        (
            "attack/test_bad_input.py::test_a_transaction_altered_in_the_vault_is_read_by_nobody",
            "attack/test_bad_input.py::test_a_transaction_altered_on_its_way_is_believed_by_nobody",
        ),
    ),
    Row(
        "altered log",
        "a notary's log that is not what the notary signed",
        "app.storage.database:LogDamaged",
        "never put an older copy in its place",
        "the notary does not start; the audit names the row",
        (
            "unit/app/cli/test_commands.py::test_a_notary_whose_log_is_damaged_names_the_file_and_what_to_do",
            "unit/notaries/test_sqlite.py::test_a_start_refuses_a_log_that_is_not_its_checkpoints",
            "unit/notaries/test_audit.py::test_entries_or_tiles_that_are_not_what_was_signed_are_named",
        ),
    ),
    Row(
        "passphrase",
        "a wrong passphrase",
        "app.keystore.errors:WrongPassphrase",
        "the key file does not open with this passphrase",
        "the key file; it is told from a damaged one",
        (
            "unit/app/keystore/test_key_file.py::test_another_passphrase_is_told_from_a_damaged_file",
            "unit/app/operations/test_backup.py::test_a_backup_does_not_open_with_another_passphrase",
        ),
    ),
    # -- clients ------------------------------------------------------------------------------------------
    Row(
        "abuse",
        "GraphQL abuse: depth, aliases, directives, fragments, cost, pages, tokens",
        "app.graphql.errors:ApiError",
        " is over the limit of ",
        "no resolver runs",
        (
            "unit/app/graphql/test_limits.py::test_shape_is_refused_from_the_first_one_too_many",
            "unit/app/graphql/test_limits.py::test_fragments_that_double_forty_times_are_counted_in_no_time",
            "unit/app/graphql/test_limits.py::test_cost_is_refused_from_the_first_point_too_many",
            "unit/app/graphql/test_limits.py::test_tokens_are_refused_from_the_first_one_too_many",
            "unit/app/graphql/test_limits.py::test_a_text_that_nests_without_end_is_refused_and_nothing_breaks",
            "unit/app/graphql/test_http.py::test_a_body_at_the_limit_is_read_and_one_byte_more_is_not",
            "unit/app/graphql/test_websocket.py::test_a_client_that_says_nothing_is_closed_in_time",
        ),
    ),
    Row(
        "no token",
        "GraphQL without a token, with a forged or another node's id or cursor",
        "app.graphql.errors:ErrorCode",
        "UNAUTHENTICATED",
        "nothing is told, not even the schema",
        (
            "unit/app/graphql/test_http.py::test_without_a_token_nothing_is_told_not_even_the_schema",
            "unit/app/graphql/test_cursors.py::test_every_changed_bit_and_every_cut_is_refused",
            "unit/app/graphql_schema/test_who_sees_what.py::test_a_forged_id_names_nothing",
            "unit/app/graphql_schema/test_who_sees_what.py::test_a_session_of_another_organisation_sees_nothing_here",
        ),
    ),
    Row(
        "wire",
        "a stranger on the wire: no TLS, no certificate, garbage, silence, a trickle",
        "app.transport.errors:Reason",
        "its certificate is of no member of the network",
        "no engine hears of it",
        (
            "unit/app/transport/test_hostile.py::test_who_is_no_member_is_refused",
            "unit/app/transport/test_hostile.py::test_who_speaks_no_tls_or_says_nothing_is_dropped_in_time",
            "unit/app/transport/test_hostile.py::test_a_frame_that_trickles_ends_the_link",
            "unit/app/transport/test_hostile.py::test_one_address_holds_only_so_many_connections_that_have_not_shown_who_they_are",
            "unit/app/transport/test_hostile.py::test_a_valid_certificate_of_one_member_does_not_greet_as_another",
        ),
    ),
)


BY_KEY = {row.key: row for row in TABLE}


def type_of(row: Row) -> type:
    module, _, name = row.error.partition(":")
    found = getattr(import_module(module), name)
    assert isinstance(found, type)
    return found


def said(key: str, answer: object) -> None:
    """Assert that this is how a row says that its input is answered.

    `answer`: an exception, a message or answer of ours, a reason of an enumeration, or why a flow failed, which begins
    with the name of the exception's type.
    """
    row = BY_KEY[key]
    if isinstance(answer, str) and not isinstance(answer, Enum):
        kind, _, words = answer.partition(": ")
        assert kind == type_of(row).__name__, answer
    else:
        assert type(answer) is type_of(row), repr(answer)
        words = str(answer)
    assert row.words in words, words
