"""Writes docs/attacks.md: attack, who names it and how, its test, and what shows that the test can fail.

Run it to renew the page: `python tests/attack_table.py`. A test compares the page with this table, and this
table with the tests that it names.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "attacks.md"

LOG = "security/test_log_attacks.py"
MACHINE = "security/test_log_machinery.py"
AUDIT = "security/test_audit_attacks.py"
TAMPER = "security/test_collection_tamper.py"
CHAIN = "unit/core/test_agreement_chain.py"
CLIENT = "security/test_client_certificates.py"
TOKEN = "security/test_credentials.py"
KEYS = "security/test_suspended_key.py"
STATE = "unit/client/test_kept_log.py"
EVIDENCE = "security/test_evidence.py"
JUDGED = "unit/core/log/test_evidence.py"

OFF = "the mechanism switched off: unseen"
FRESH = "who kept nothing cannot know"
BESIDE = "the same without the theft is let in"
HONEST = "the same done honestly is taken"
CONTROLS = {
    OFF: ("off(", "monkeypatch.setattr", "mechanism(monkeypatch)"),
    FRESH: ("fresh=True",),
    BESIDE: ("== 200", ".status == 200", "200]"),
    HONEST: (".ok", "assert", "pull("),
}
"""Kinds of control, and what the source of one of that kind must have."""


@dataclass(frozen=True, slots=True)
class Row:
    """An attack. `named` is how a verifier or the hub names it; `control` a test, the same one if empty."""

    attack: str
    named: str
    test: str
    kind: str = OFF
    control: str = ""


ROWS = [
    Row(
        "stored object altered: one byte, one space inside a string",
        "`altered`, `missing`",
        f"{LOG}::test_stored_object_altered_by_one_byte_or_a_space_in_a_string",
    ),
    Row(
        "object left out of an answer",
        "`missing`, until it comes",
        f"{LOG}::test_object_left_out_of_an_answer",
    ),
    Row(
        "object put in that nobody published",
        "`not-in-log`",
        f"{LOG}::test_object_put_in_that_nobody_published",
    ),
    Row("withdrawn object still handed out", "`withdrawn`", f"{LOG}::test_withdrawn_object_still_handed_out"),
    Row(
        "wrong dates in answers",
        "`wrong-date`",
        f"{LOG}::test_dates_of_an_answer_that_are_not_those_of_the_log",
    ),
    Row("duplicate JSON members", "`unreadable-object`", f"{LOG}::test_duplicate_json_members"),
    Row("entry deleted", "`rewritten`", f"{LOG}::test_entry_deleted"),
    Row("entry rewritten", "`rewritten`", f"{LOG}::test_entry_rewritten"),
    Row(
        "entry rewritten in the hub's database, without its key",
        "publishing refused, `fsck`",
        f"{TAMPER}::test_leaf_rewritten_with_its_hashes_and_head",
        HONEST,
        f"{TAMPER}::test_an_untouched_log_goes_on_in_every_process",
    ),
    Row("truncation", "`truncated`", f"{LOG}::test_truncation"),
    Row("rollback", "`rollback`", f"{LOG}::test_rollback", FRESH),
    Row(
        "rollback behind what was promised and not read yet",
        "`rollback`",
        f"{MACHINE}::test_rollback_behind_a_checkpoint_whose_entries_were_not_read_yet",
    ),
    Row("split view, before and after", "`split-view`, `rewritten`", f"{LOG}::test_split_view", FRESH),
    Row(
        "split view between two consumers",
        "`split-view` (`pull --verify --compare`)",
        f"{LOG}::test_split_view_between_two_consumers_that_compare_checkpoints",
    ),
    Row("forged checkpoint", "`checkpoint-forged`", f"{LOG}::test_forged_checkpoint"),
    Row("checkpoint of another log", "`other-log`", f"{LOG}::test_checkpoint_of_another_log"),
    Row("freeze", "`stale`, with `--strict`", f"{LOG}::test_freeze"),
    Row("backdating", "`backdated`", f"{LOG}::test_backdating"),
    Row("a time far ahead", "`from-the-future`", f"{LOG}::test_a_time_far_ahead"),
    Row("forged statement", "`forged-statement`", f"{LOG}::test_forged_statement"),
    Row("signature type confusion", "`forged-statement`", f"{LOG}::test_signature_type_confusion"),
    Row(
        "hub-attested forgery",
        "`lightship monitor`",
        "unit/client/test_monitoring.py::test_hub_attested_forgery",
        OFF,
        "unit/client/test_monitoring.py::test_without_the_monitor_a_forgery_goes_unseen",
    ),
    Row(
        "hub-attested forgery, with database and log key in the attacker's hand",
        "`lightship monitor`",
        "e2e/test_monitor.py::test_hub_attested_forgery",
        HONEST,
    ),
    Row(
        "hub-attested forgery where signatures are required",
        "`unsigned`",
        f"{LOG}::test_hub_attested_forgery_where_signatures_are_required",
    ),
    Row(
        "withdrawal in another's name",
        "`not-owner`, `not-ordered`, `not-distrusted`",
        f"{LOG}::test_hub_attested_withdrawal_in_anothers_name",
    ),
    Row("publisher equivocation", "`equivocation`", f"{LOG}::test_publisher_equivocation"),
    Row("statement left out of the log", "`statement-missing`", f"{LOG}::test_statement_left_out_of_the_log"),
    Row("replay", "`replayed-statement`", f"{LOG}::test_replay_of_a_statement"),
    Row("replay in another collection", "`other-collection`", f"{LOG}::test_replay_in_another_collection"),
    Row("replay at another hub", "`other-hub`", f"{LOG}::test_replay_at_another_hub"),
    Row("impersonation", "`impersonation`", f"{LOG}::test_impersonation"),
    Row(
        "impersonation by listing another's key",
        "`roster-refused`",
        f"{LOG}::test_impersonation_by_listing_anothers_key",
    ),
    Row("forged roster", "`roster-refused`", f"{LOG}::test_forged_roster"),
    Row("roster withheld", "`roster-refused`", f"{LOG}::test_roster_withheld"),
    Row(
        "stolen token, from another address",
        "401",
        f"{TOKEN}::test_no_header_moves_a_credential_to_an_allowed_address",
        BESIDE,
    ),
    Row("stolen token, expired", "401", f"{TOKEN}::test_a_credential_expires_on_its_second", BESIDE),
    Row(
        "stolen token, revoked",
        "401",
        f"{TOKEN}::test_a_revoked_credential_is_refused_on_the_next_request",
        BESIDE,
    ),
    Row(
        "stolen client key",
        "401, on an open connection too",
        f"{CLIENT}::test_a_stolen_client_key_is_refused_on_an_open_connection_after_its_revocation",
        BESIDE,
    ),
    Row(
        "public bytes of a certificate sent as a secret",
        "401",
        f"{CLIENT}::test_public_bytes_of_a_certificate_are_no_secret",
        BESIDE,
    ),
    Row(
        "another member's client pin listed in a roster",
        "`bad-roster`, 401",
        f"{CLIENT}::test_a_pin_that_two_members_claim_all_the_same_is_nobodys",
        BESIDE,
    ),
    Row(
        "session resumed after its certificate ended",
        "401",
        f"{CLIENT}::test_a_session_that_is_resumed_after_its_certificate_ended_is_refused",
        BESIDE,
    ),
    Row(
        "bad secret beside a good certificate",
        "401",
        f"{CLIENT}::test_a_bad_secret_with_a_good_certificate_is_refused",
        BESIDE,
    ),
    Row(
        "stolen publish key, after it was revoked",
        "`revoked-key`",
        f"{LOG}::test_stolen_publish_key_after_it_was_revoked",
    ),
    Row(
        "stolen publish key, before and after `distrust_from`",
        "`distrusted`",
        f"{LOG}::test_stolen_publish_key_before_and_after_distrust_from",
    ),
    Row(
        "stolen publish key that was suspended, at a hub that takes its statements all the same",
        "`suspended-key`",
        f"{KEYS}::test_a_verifier_names_what_a_dishonest_hub_takes_from_a_suspended_key",
    ),
    Row(
        "stolen publish key that was suspended, at an honest hub",
        "403 `deny-suspended`",
        f"{KEYS}::test_stolen_publish_key_suspended_at_02_00",
        BESIDE,
    ),
    Row(
        "a post begun before a suspension whose body trickles in past it",
        "403 `deny-suspended`",
        f"{KEYS}::test_a_statement_whose_body_trickles_in_past_the_suspension_is_not_taken",
        BESIDE,
        f"{KEYS}::test_a_suspended_key_stops_nothing_else",
    ),
    Row(
        "a suspension of a publisher's key that no party signed",
        "`suspension-refused`, and the key goes on",
        f"{KEYS}::test_a_strangers_suspension_of_a_key_stops_nothing",
        HONEST,
        f"{KEYS}::test_by_what_a_consumer_kept_it_names_it_as_well",
    ),
    Row(
        "stolen publish key, at the hub",
        "withdrawn with reason `distrusted`",
        "unit/log/test_distrust.py::test_stolen_publish_key_before_and_after_distrust_from",
        OFF,
        "unit/log/test_distrust.py::test_without_taking_them_out_every_consumer_would_refuse_them",
    ),
    Row(
        "stolen publish key, its attestation of what others added",
        "stays; what it put in leaves",
        "unit/log/test_distrust.py::test_the_add_that_made_a_version_live_decides_not_a_later_attestation",
        HONEST,
    ),
    Row(
        "unsigned post where signatures are required",
        "403 `deny-unsigned`",
        "unit/log/test_require_signature.py::test_an_unsigned_post_is_refused_with_its_rule_and_what_to_do",
        OFF,
        "unit/log/test_require_signature.py::"
        "test_without_the_rule_the_hub_would_log_what_every_consumer_refuses",
    ),
    Row(
        "unsigned post under way while signatures come to be required",
        "403 `deny-unsigned`",
        "security/test_signature_race.py::test_a_write_decided_before_the_switch_is_decided_anew",
        OFF,
        "security/test_signature_race.py::"
        "test_without_the_comparison_of_epochs_it_would_stand_behind_the_switch",
    ),
    Row(
        "token that the steward minted in a member's name",
        "403 `deny-token-not-listed`",
        "security/test_listed_tokens.py::test_a_secret_that_the_steward_mints_for_itself_in_a_members_name",
        OFF,
        "security/test_listed_tokens.py::"
        "test_without_the_look_into_rosters_every_minted_secret_would_open_it",
    ),
    Row(
        "client certificate that the steward pinned in a member's name",
        "403 `deny-token-not-listed`",
        "security/test_listed_tokens.py::"
        "test_a_certificate_that_the_steward_pins_for_itself_in_a_members_name",
        BESIDE,
    ),
    Row(
        "rosters that a member hands in without end",
        "429",
        "unit/log/test_handing.py::"
        "test_rosters_without_end_wait_and_a_stolen_credential_keeps_no_officer_from_revoking",
        HONEST,
    ),
    Row(
        "one rogue officer",
        "`agreement-forged`",
        f"{CHAIN}::test_threshold_lowered_by_one_rogue_officer",
        HONEST,
    ),
    Row("a key that no roster lists", "`unknown-key`", f"{LOG}::test_key_that_no_roster_lists"),
    Row(
        "stolen admin key, after it was replaced",
        "`unknown-key`",
        f"{LOG}::test_stolen_admin_key_after_it_was_replaced",
    ),
    Row(
        "a forged entry of the access log for a request of the forger's own, to be signed by a receipt",
        "no receipt; `verify`, `fsck`",
        f"{AUDIT}::test_a_forged_entry_for_a_request_of_the_forgers_own_gets_no_signature",
    ),
    Row(
        "a statement that is proved to its publisher, and kept out of the log that others see",
        "`split-view` at the next `publish --sign`, with evidence",
        "unit/client/test_signing.py::test_a_statement_that_is_proved_to_its_publisher_and_kept_from_everybody_else",
        HONEST,
        "unit/client/test_signing.py::test_one_statement_puts_an_object_in_anothers_place_at_once",
    ),
    Row("a revoked key that comes back", "`revoked-key`", f"{LOG}::test_a_revoked_key_does_not_come_back"),
    Row(
        "a new entry changed after it was signed for",
        "`rewritten`",
        f"{LOG}::test_new_entry_changed_after_it_was_signed_for",
    ),
    Row("agreement forged", "`agreement-forged`", f"{LOG}::test_agreement_forged"),
    Row("agreement rollback", "`agreement-rollback`", f"{LOG}::test_agreement_rollback"),
    Row("agreement skip", "`agreement-skipped`", f"{LOG}::test_agreement_skip"),
    Row("agreement withheld", "`agreement-withheld`", f"{LOG}::test_agreement_withheld"),
    Row(
        "agreement that does not reach the log",
        "`agreement-behind`, with `--strict`",
        f"{LOG}::test_agreement_that_does_not_reach_the_log",
    ),
    Row(
        "access log edited",
        "`lightship verify`",
        f"{AUDIT}::test_the_attack_is_found",
        OFF,
        f"{AUDIT}::test_the_attack_is_not_found_with_its_mechanism_switched_off",
    ),
    Row(
        "access never logged",
        "`lightship verify --receipts`",
        f"{AUDIT}::test_the_attack_is_found",
        OFF,
        f"{AUDIT}::test_the_attack_is_not_found_with_its_mechanism_switched_off",
    ),
    Row(
        "kill -9 of the hub",
        "nothing: what was acknowledged is there",
        "fault/test_kill.py::test_what_was_acknowledged_survives_kill_9",
        HONEST,
    ),
    Row(
        "kill -9 of hub and publisher under signed statements",
        "nothing: outbox and log agree",
        "e2e/test_signed_publishing.py::test_what_a_killed_hub_did_not_answer_goes_again_and_is_logged_once",
        HONEST,
    ),
    Row(
        "kill -9 of publishing tools, two at once, while the hub is down",
        "nothing: what they were told is kept leaves once, in order",
        "e2e/test_outbox_offline.py::test_tools_killed_in_an_outage_and_after_it_say_everything_once",
        HONEST,
    ),
    Row(
        "kill -9 of a consumer",
        "nothing: what comes again is told by its key",
        "property/test_deletion_feed.py::test_killed_between_handing_on_and_keeping",
        HONEST,
    ),
    Row(
        "an entry of a long log changed",
        "`rewritten`, before it is read",
        f"{MACHINE}::test_an_entry_of_a_window_is_not_read_before_it_is_proved",
    ),
    Row("hashes of tiles that are wrong", "`rewritten`", f"{MACHINE}::test_tile_hashes_that_are_wrong"),
    Row(
        "a bundle that changes between two fetches",
        "`split-view`, `rewritten`",
        f"{MACHINE}::test_a_bundle_that_changes_between_two_fetches",
        HONEST,
        f"{MACHINE}::test_a_first_look_that_is_interrupted_goes_on_where_it_was",
    ),
    Row(
        "a bundle without end, or too short",
        "`truncated`",
        f"{MACHINE}::test_a_bundle_without_end",
        HONEST,
        f"{MACHINE}::test_a_log_in_windows_is_the_log_in_one",
    ),
    Row(
        "a gzip bomb",
        "`answer-too-large`",
        f"{MACHINE}::test_a_gzip_bomb",
        HONEST,
        f"{MACHINE}::test_packing_that_was_not_asked_for_or_is_broken",
    ),
    Row(
        "an answer that drips",
        "`answer-too-slow`",
        f"{MACHINE}::test_an_answer_that_drips",
        HONEST,
        f"{MACHINE}::test_a_log_in_windows_is_the_log_in_one",
    ),
    Row(
        "redirects to elsewhere",
        "not followed",
        f"{MACHINE}::test_redirects_to_elsewhere",
        HONEST,
        f"{MACHINE}::test_a_log_in_windows_is_the_log_in_one",
    ),
    Row(
        "a checkpoint of 2^62 entries",
        "`endless-log`",
        f"{MACHINE}::test_a_checkpoint_of_a_log_without_end",
        HONEST,
        f"{MACHINE}::test_a_log_in_windows_is_the_log_in_one",
    ),
    Row(
        "versions and rosters without end",
        "`endless-log`",
        f"{MACHINE}::test_versions_and_rosters_without_end",
    ),
    Row(
        "pages of objects without end",
        "`not-taxii`",
        f"{MACHINE}::test_pages_of_objects_without_end",
        HONEST,
        f"{MACHINE}::test_a_pull_in_parts_is_the_pull_in_one",
    ),
    Row(
        "a consumer's state changed",
        "`bad-file`",
        f"{STATE}::test_a_state_that_somebody_changed_is_refused",
        HONEST,
        f"{STATE}::test_a_flipped_byte_anywhere_is_refused_or_changes_nothing",
    ),
    Row(
        "a consumer's state truncated",
        "`bad-file`",
        f"{STATE}::test_a_truncated_state_is_refused_and_never_taken_for_a_first_look",
        HONEST,
        f"{STATE}::test_a_flipped_byte_anywhere_is_refused_or_changes_nothing",
    ),
    Row(
        "an older state put back",
        "repeats, loses nothing",
        f"{STATE}::test_an_older_state_put_back_repeats_and_loses_nothing",
        HONEST,
    ),
    Row(
        "rows of another state put in",
        "`bad-file`",
        f"{STATE}::test_rows_of_another_state_are_refused",
        HONEST,
        f"{STATE}::test_a_flipped_byte_anywhere_is_refused_or_changes_nothing",
    ),
    Row(
        "two pulls at once on one state",
        "`state-busy`",
        f"{STATE}::test_two_pulls_at_once_on_one_state",
        HONEST,
    ),
    Row(
        "a publisher denies that it signed twice under one number, to who was not there",
        "`PROVED` by `lightship evidence verify`",
        f"{EVIDENCE}::test_a_key_that_signed_two_statements_under_one_number_cannot_deny_it",
        HONEST,
        f"{JUDGED}::test_nothing_is_made_of_statements_that_are_as_they_must_be",
    ),
    Row(
        "a hub denies that it signed two logs",
        "`PROVED` by `lightship evidence verify`",
        f"{EVIDENCE}::test_a_hub_that_rewrote_what_it_had_signed_cannot_deny_it",
        HONEST,
        f"{JUDGED}::test_a_log_that_goes_on_is_not_two_logs",
    ),
    Row(
        "forged evidence",
        "`NOT PROVED` and the field, `NOT PINNED`",
        f"{JUDGED}::test_an_entry_or_checkpoint_that_the_hub_did_not_sign_proves_nothing",
        HONEST,
        f"{JUDGED}::test_what_happened_is_proved_by_the_file_and_a_pinned_key_alone",
    ),
    Row(
        "another member's roster handed in",
        "`deny-other-member`",
        "unit/log/test_handing.py::test_nobody_hands_in_anothers_roster_however_well_it_is_signed",
        HONEST,
        "unit/log/test_handing.py::test_a_member_hands_in_its_roster_itself_and_signs_with_it_at_once",
    ),
    Row(
        "a full disk while the state is kept",
        "`state-not-kept`, as it was",
        f"{STATE}::test_a_full_disk_leaves_the_state_as_it_was",
        HONEST,
    ),
]

INTRO = """# Attacks and their tests

<!-- Made by `python tests/attack_table.py`; a test compares it with the tests that it names. -->

What somebody can try against those who verify, by what name it is found, the test, and the control that shows
that the test can fail: with the one mechanism switched off the attack goes unseen, or the same thing done
honestly is taken. Tests are below `tests/`; `↳` stands before the control where it is a test of its own.

Not in the table, since it is not built yet: witnesses (a split view is seen by consumers that compare
checkpoints, not before) and agreements that two parties sign. Nobody can find an access that left no receipt
and was never logged. That what the hub took out as `expired` was due is the hub's word. The checksums
in a consumer's state tell of damage, not of somebody who can write it.

| Attack | Found as | Test | Control |
|---|---|---|---|
"""


def source_of(test: str) -> str:
    """Return the source of a test named `path::function`.

    Raises:
        LookupError: there is none.
    """
    path, _, name = test.partition("::")
    text = (ROOT / "tests" / path).read_text()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return ast.get_source_segment(text, node) or ""
    raise LookupError(test)


def page() -> str:
    """Return the page."""
    lines = []
    for row in ROWS:
        control = f"{row.kind}<br>↳ `{row.control}`" if row.control else row.kind
        lines.append(f"| {row.attack} | {row.named} | `{row.test}` | {control} |")
    return INTRO + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
