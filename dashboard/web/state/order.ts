// Keeps a long list in order, by when something was last said, latest first.

/** What has a place in the list. */
export interface Placed {
  conversation: { id: string };
  at: number;
}

/** A list in order with these in their places, and without what was of them before. It is walked once. */
export function merged<T extends Placed>(before: readonly T[], changed: T[], ids: ReadonlySet<string>): T[] {
  changed.sort((a, b) => b.at - a.at);
  const list: T[] = [];
  let next = 0;
  for (const entry of before) {
    if (ids.has(entry.conversation.id)) continue;
    for (let own = changed[next]; own && own.at >= entry.at; own = changed[next]) {
      list.push(own);
      next += 1;
    }
    list.push(entry);
  }
  for (; next < changed.length; next += 1) list.push(changed[next] as T);
  return list;
}
