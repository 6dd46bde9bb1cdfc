//! What every backend does.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod accept;
mod conversation;
mod outbox;
mod platform;
#[path = "../support/mod.rs"]
mod support;

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
    platform: platform_records
        channels_are_routed_and_their_addresses_are_unique
        tenants_share_nothing
        unrouted_events_are_bounded
        safety_identifiers
        settings_have_versions
        a_closed_store_refuses
        every_record_is_checked;
    accept: an_event_takes_effect_once
        an_event_is_new_again_once_forgotten
        contacts_are_known_by_either_part
        a_profile_name_follows
        kept_events
        a_status_finds_its_message
        a_status_waits_for_its_message
        parked_statuses_are_bounded_by_number_and_age
        a_full_inbox_refuses;
    conversation: letters_are_read_in_order_and_acknowledged
        only_the_revision_that_was_loaded_is_written
        a_turn_commits_only_in_its_epoch
        deliveries_only_advance
        what_is_unfinished_is_found
        events_have_no_gaps_and_are_watched
        lists_are_paged
        dead_letters_and_turns;
    outbox: the_outbox_keeps_its_order
        dispatch_checks_floor_window_and_time
        every_outcome_settles
        requeue_and_resend;
}
