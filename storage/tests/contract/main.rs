//! What every backend does.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod accept;
mod changes;
mod contacts;
mod conversation;
mod derived;
mod hooks;
mod keeping;
mod knowledge;
mod leaving;
mod money;
mod outbox;
mod people;
mod platform;
mod rights;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod trail;

macro_rules! contract {
    ($($room:ident: $($name:ident)*;)*) => {
        mod memory {
            $($(#[tokio::test] async fn $name() { crate::$room::$name(crate::support::World::memory()).await; })*)*
        }
        mod sled {
            $($(#[tokio::test] async fn $name() { crate::$room::$name(crate::support::World::sled()).await; })*)*
        }
    };
}

contract! {
    keeping: a_person_goes_and_nobody_else
        what_is_kept_of_a_person_stays
        who_refused_messages_is_not_written_to_first_after_all_else_is_gone
        a_turn_of_the_epoch_leaves_all_readable
        a_turn_that_is_refused_goes_on_later
        what_is_over_its_period_goes
        a_hold_on_somebody_keeps_what_was_given_up_and_what_is_on_its_way
        what_is_chosen_and_proven_is_kept
        a_tenant_is_destroyed;
    rights: a_case_is_changed_by_who_has_seen_it
        what_is_corrected_is_told_in_the_same_write_and_stays
        what_somebody_refuses_is_on_the_record_and_goes_with_them
        requests_of_the_page_go_when_they_are_over;

    leaving: what_leaves_is_on_the_ledger_and_goes_with_the_person
        orders_and_incidents_are_kept;
    platform: platform_records
        channels_are_routed_and_their_addresses_are_unique
        an_account_s_address_is_all_its_channels
        a_channel_s_health_undoes_nothing
        a_channel_is_removed
        templates_are_kept_by_channel
        tenants_share_nothing
        unrouted_events_are_bounded
        safety_identifiers
        a_closed_store_refuses
        every_record_is_checked;
    accept: an_event_takes_effect_once
        an_event_is_new_again_once_forgotten
        a_message_is_new_once_by_its_id
        kept_events
        a_status_finds_its_message
        a_status_waits_for_its_message
        parked_statuses_are_bounded_by_number_and_age
        a_full_inbox_refuses
        too_many_letters_in_all_refuse_who_has_many;
    contacts: contacts_are_known_by_either_part
        two_who_are_one_are_merged
        a_new_number_is_followed
        a_profile_name_follows;
    changes: a_message_is_found_by_metas_id_at_once
        an_echo_of_ours_is_a_report
        an_echo_without_a_name_is_told_by_what_it_says
        what_the_business_wrote_elsewhere_is_a_message
        a_removal_takes_what_waits
        a_removal_that_comes_first
        a_commit_that_was_decided_before_a_removal
        what_contacts_do_comes_to_their_conversation;
    conversation: letters_are_read_in_order_and_acknowledged
        few_letters_and_many_are_read_alike
        only_the_revision_that_was_loaded_is_written
        a_turn_commits_only_in_its_epoch
        deliveries_only_advance
        a_message_can_be_put_again
        the_log_shows_messages_as_they_are
        what_went_out_before_a_moment
        what_is_unfinished_is_found
        events_have_no_gaps_and_are_watched
        lists_are_paged
        dead_letters_and_turns;
    outbox: the_outbox_keeps_its_order
        dispatch_checks_floor_window_and_time
        every_outcome_settles
        a_try_that_does_not_count;
    settings: settings_have_versions
        a_draft_counts_once_it_is_published
        settings_are_rolled_back;
    derived: a_summary_is_kept_and_dropped
        a_summary_goes_with_what_it_tells_of
        a_turn_loses_the_words_of_what_was_taken_back
        facts_are_noted_about_contacts
        a_note_never_leaves;
    money: each_limit_bounds_what_is_set_aside
        what_was_set_aside_is_settled
        a_crash_spends_what_was_set_aside
        many_at_once_never_get_more_than_there_is
        long_past_days_are_forgotten;
    knowledge: documents_come_and_go
        passages_are_replaced_as_a_whole
        whoever_reads_passages_sees_whole_editions
        there_is_a_limit_to_knowledge
        golden_questions_are_kept;
    people: accounts_are_found_by_what_is_theirs_alone
        an_account_is_changed_by_who_read_it
        accounts_are_listed_by_place
        what_is_another_s_is_as_if_it_were_not_there
        sessions_end_for_good
        an_account_has_so_many_sessions
        what_is_revoked_is_told
        a_closed_tenant_has_no_address
        an_invitation_is_taken_up_once
        a_token_is_taken_once
        break_glass_is_told_in_the_same_write
        answers_are_kept_for_a_day;
    trail: each_chain_is_linked
        many_at_once_make_one_chain
        checkpoints_are_kept
        requests_are_on_the_record
        addresses_are_shortened_then_requests_go;
    hooks: a_subscription_begins_with_what_comes
        an_event_is_taken_up_once
        what_is_due_is_found;
}
