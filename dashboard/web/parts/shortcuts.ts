// Keys that act: pressed alone, where nobody writes.

/** How long a key counts as the one before. */
const TOGETHER_MS = 1_200;

/** Calls `work` with each key that is pressed where nobody writes, and the one before it. Gives what ends it. */
export function onShortcut(work: (key: string, before: string, event: KeyboardEvent) => void): () => void {
  let before = "";
  let at = 0;
  const pressed = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target as HTMLElement | null;
    if (target?.closest?.("input, textarea, select, [contenteditable], dialog")) return;
    const former = event.timeStamp - at < TOGETHER_MS ? before : "";
    before = event.key;
    at = event.timeStamp;
    work(event.key, former, event);
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
