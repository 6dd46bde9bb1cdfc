// Notices of the browser, with permission, by one tab alone.

import type { LogEvent } from "../feed/frames.ts";
import { t } from "../i18n/index.svelte.ts";
import type { Entry } from "./entry.ts";
import { router } from "./router.svelte.ts";
import { session } from "./session.svelte.ts";

const KEY = "notices";

class Notices {
  /** Whether somebody wants them here and the browser gives them. */
  on = $state(typeof Notification !== "undefined" && Notification.permission === "granted" && localStorage.getItem(KEY) === "on");
  possible = typeof Notification !== "undefined";
  /** Whether this tab is the one that gives them. */
  speaks = false;

  constructor() {
    // The lock is held as long as the tab lives; another takes it then.
    void navigator.locks?.request("notices", () => {
      this.speaks = true;
      return new Promise<void>(() => {});
    });
    // Another tab was asked.
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key === KEY) this.on = newValue === "on" && this.possible && Notification.permission === "granted";
    });
  }

  async set(wanted: boolean): Promise<void> {
    if (wanted && Notification.permission !== "granted") await Notification.requestPermission();
    this.on = wanted && Notification.permission === "granted";
    localStorage.setItem(KEY, this.on ? "on" : "off");
  }
}

export const notices = new Notices();

/** Tells of what needs somebody: a conversation that waits for a person, an answer to the one who looks after it. */
export function notify(entry: Entry, event: LogEvent): void {
  if (!notices.on || !notices.speaks || !document.hidden) return;
  const { control, assigned, id } = entry.conversation;
  const waits = event.type === "control.changed" && control.holder === "waiting";
  const own = control.holder === "operator" && control.name === session.me?.name;
  const mine = event.type === "message.received" && (own || (assigned && assigned === session.me?.id));
  if (!waits && !mine) return;
  // What people write stays in the page: a notice may be seen by others.
  const notice = new Notification(waits ? t("notice.waits") : t("notice.answered"), {
    body: entry.name || t("someone"), tag: id, icon: "/icon.svg", lang: document.documentElement.lang,
  });
  notice.onclick = () => {
    window.focus();
    if (session.tenant) router.go(`/t/${session.tenant.id}/live/${id}`);
    notice.close();
  };
}
