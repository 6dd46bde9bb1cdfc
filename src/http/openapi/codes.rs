//! The codes of problems: what each means, and which a route can answer beyond what its signature says.

/// A code with its status and title.
pub const CODES: [(&str, u16, &str); 28] = [
    ("bad_request", 400, "The request cannot be understood"),
    ("too_deep", 400, "The body is nested too deeply"),
    ("unauthorized", 401, "A working credential is needed"),
    ("forbidden", 403, "The credential does not allow this"),
    ("forged", 403, "The request does not come from our own page"),
    ("step_up_needed", 403, "It needs a proof anew of who you are"),
    ("second_factor_needed", 403, "A second factor is needed"),
    ("break_glass_needed", 403, "A break-glass grant is needed"),
    ("wrong_credentials", 403, "It does not prove who you are"),
    ("not_found", 404, "There is no such thing"),
    ("too_slow", 408, "The body took too long to arrive"),
    ("conflict", 409, "It conflicts with what is there"),
    ("window_closed", 409, "The channel's answering window is closed"),
    ("changed", 412, "It changed since it was read"),
    ("too_large", 413, "The body is too large"),
    ("not_json", 415, "The body must be JSON"),
    ("unsupported_type", 415, "What came is of a type that is not read"),
    ("invalid", 422, "A value is not what it must be"),
    ("idempotency_mismatch", 422, "The Idempotency-Key belongs to another request"),
    ("not_carried", 422, "The channel does not carry this"),
    ("too_many", 429, "Too many tries"),
    ("rate_limited", 429, "Too many requests"),
    ("too_many_headers", 431, "The request has too many headers"),
    ("head_too_large", 431, "The head of the request is too large"),
    ("internal", 500, "Something failed here; it has been logged"),
    ("damaged", 500, "A record cannot be read"),
    ("unavailable", 503, "Not now: nothing was accepted"),
    ("method_not_allowed", 405, "It does not have this method"),
];

/// A proof of who somebody is, and what becomes of an account that changed meanwhile.
const PROOF: &[&str] =
    &["too_many", "wrong_credentials", "not_found", "conflict", "changed", "step_up_needed", "invalid"];
/// What a conversation may refuse.
const CONVERSATION: &[&str] = &["conflict", "window_closed", "not_carried", "invalid"];
/// What may be taken by another meanwhile, or be over.
const CONFLICT: &[&str] = &["conflict"];
/// An account that may have changed meanwhile, or may not be changed.
const ACCOUNT: &[&str] = &["not_found", "conflict", "changed"];

/// What an operation can answer beyond what its signature says, by its id.
pub const BEYOND: &[(&str, &[&str])] = &[
    ("issue_live_ticket", &["forged"]),
    ("change_incident", CONFLICT),
    ("scope_incident", &["conflict", "invalid"]),
    ("note_told", CONFLICT),
    ("close_incident", CONFLICT),
    ("enter_order", CONFLICT),
    ("approve_order", CONFLICT),
    ("tell_order", CONFLICT),
    ("answer_order", CONFLICT),
    ("take_over", CONVERSATION),
    ("hand_back", CONVERSATION),
    ("assign", CONVERSATION),
    ("add_note", CONVERSATION),
    ("reply", CONVERSATION),
    ("replay_dead_letter", CONVERSATION),
    ("change_channel", CONFLICT),
    ("test_channel", CONFLICT),
    ("subscribe_channel", CONFLICT),
    ("rehearse", &["conflict", "invalid"]),
    ("run_golden", CONFLICT),
    ("change_golden", CONFLICT),
    ("add_knowledge", CONFLICT),
    ("reindex_knowledge", CONFLICT),
    ("search_knowledge", CONFLICT),
    ("upload_file", CONFLICT),
    ("change_assistant", CONFLICT),
    ("save_draft", CONFLICT),
    ("list_backups", CONFLICT),
    ("show_backup", CONFLICT),
    ("make_backup", CONFLICT),
    ("restore_tenant", CONFLICT),
    ("change_member", ACCOUNT),
    ("remove_member", ACCOUNT),
    ("remove_agency_member", ACCOUNT),
    ("change_account", ACCOUNT),
    ("remove_account", ACCOUNT),
    ("change_me", ACCOUNT),
    ("revoke_invitation", CONFLICT),
    ("revoke_agency_invitation", CONFLICT),
    ("revoke_owner_invitation", CONFLICT),
    ("approve_break_glass", CONFLICT),
    ("open_right", &["not_found", "conflict", "invalid"]),
    ("show_right_data", &["invalid"]),
    ("step_right", &["not_found", "conflict", "window_closed", "not_carried", "invalid"]),
    ("change_key", CONFLICT),
    ("rotate_key", CONFLICT),
    ("change_webhook", CONFLICT),
    ("list_quarantine", &["invalid"]),
    ("list_platform_quarantine", &["invalid"]),
    ("sign_in", PROOF),
    ("sign_in_with_link", PROOF),
    ("give_second_factor", PROOF),
    ("ask_second_factor_passkey", PROOF),
    ("ask_passkey", PROOF),
    ("sign_in_with_passkey", PROOF),
    ("sign_in_with_supabase", PROOF),
    ("step_up", PROOF),
    ("ask_step_up_passkey", PROOF),
    ("add_totp", PROOF),
    ("confirm_totp", PROOF),
    ("remove_totp", PROOF),
    ("make_recovery_codes", PROOF),
    ("ask_new_passkey", PROOF),
    ("add_passkey", PROOF),
    ("remove_passkey", PROOF),
    ("change_email", PROOF),
    ("confirm_email", PROOF),
    ("change_password", PROOF),
    ("forgot_password", PROOF),
    ("reset_password", PROOF),
    ("accept_invitation", PROOF),
];

/// What the doors beside `/v1` can answer.
pub const DOORS: &[(&str, &[&str])] = &[
    ("confirm_webhook", &["bad_request", "forbidden", "not_found", "unavailable"]),
    (
        "receive_webhook",
        &["bad_request", "unauthorized", "not_found", "too_slow", "too_large", "internal", "unavailable"],
    ),
    (
        "request_deletion",
        &["bad_request", "unauthorized", "not_found", "too_slow", "too_large", "internal", "unavailable"],
    ),
    (
        "deauthorize",
        &["bad_request", "unauthorized", "not_found", "too_slow", "too_large", "internal", "unavailable"],
    ),
    ("show_deletion", &["not_found", "internal", "unavailable"]),
    ("open_live", &["bad_request", "unauthorized", "forbidden", "not_found", "unavailable"]),
    ("is_live", &[]),
    ("is_ready", &["unavailable"]),
    ("show_metrics", &[]),
    ("show_document", &["internal"]),
    ("show_feed", &[]),
    ("show_security_contact", &["not_found"]),
    ("show_notice", &["internal"]),
    ("show_providers", &["internal"]),
    ("list_subprocessors", &["rate_limited", "internal"]),
    ("show_processing_record", &["rate_limited"]),
];

/// What any request may be answered.
pub const ANY: &[&str] =
    &["rate_limited", "too_many_headers", "head_too_large", "internal", "damaged", "unavailable"];

/// The status and the title of a code.
pub fn of(code: &str) -> Option<(u16, &'static str)> {
    CODES.iter().find(|(known, ..)| *known == code).map(|(_, status, title)| (*status, *title))
}
