// What people write is shown as text, and what cannot be seen in it is made visible.

/** Characters that change the direction of what follows, or join and part without being seen. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/u;
const EACH = new RegExp(HIDDEN.source, "gu");

export interface Piece {
  /** What is shown. */
  text: string;
  /** The name of what cannot be seen, where this piece stands for it. */
  control: string | null;
}

const NAMES: Record<string, string> = {
  "\u0000": "NUL", "\u0007": "BEL", "\u001b": "ESC", "\u0085": "NEL", "\u200b": "ZWSP", "\u200e": "LRM",
  "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO",
  "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\ufeff": "BOM",
};

function nameOf(character: string): string {
  return NAMES[character] ?? `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The text in pieces: what is read, and names of what cannot be seen. */
export function pieces(text: string): Piece[] {
  if (!HIDDEN.test(text)) return text ? [{ text, control: null }] : [];
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(EACH)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), control: null });
    found.push({ text: match[0], control: nameOf(match[0]) });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), control: null });
  return found;
}

/** The text in one line, for lists: without what cannot be seen, and not longer than is of use there. */
export function oneLine(text: string, max = 160): string {
  // A character takes two places at most; what cannot be seen may take some more.
  const plain = text.slice(0, max * 4).replace(EACH, "").replace(/\s+/g, " ").trim();
  const letters = Array.from(plain);
  return letters.length > max ? `${letters.slice(0, max).join("")}…` : plain;
}
