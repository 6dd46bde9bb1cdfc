// The kinds of events that there are, as `/asyncapi.json` names them.

export const KINDS = [
  "conversation.opened", "message.received", "message.echoed", "message.edited", "message.removed", "message.reacted",
  "media.settled", "message.queued", "message.status_changed", "message.withdrawn", "message.postponed",
  "turn.started", "turn.ended", "assistant.disclosed", "note.added", "conversation.assigned", "contact.opted_out",
  "contact.attributes_changed", "follow_up.scheduled", "contact.acted", "contact.marketing_changed",
  "contact.reachability_changed", "contact.identity_changed", "contact.merged", "thread.requested", "control.changed",
  "webhook.kept", "status.parked", "conversation.quarantined", "conversation.released", "dead_letter.added",
  "dead_letter.replayed", "channel.connected", "channel.health_changed", "channel.disconnected", "channel.noticed",
  "deletion.requested", "knowledge.changed", "settings.changed", "record.quarantined", "record.restored",
  "webhook.paused", "event.unreadable", "event.erased", "contact.erased", "contact.standing_changed",
  "assistant.refused", "rights.changed", "rights.due", "privacy.correct", "privacy.redact", "order.received",
  "break_glass.asked", "break_glass.opened", "break_glass.ended",
] as const;

/** Stands for all of them. */
export const EVERY_KIND = "*";
