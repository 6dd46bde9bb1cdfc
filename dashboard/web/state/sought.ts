// What somebody looks for, in the forms in which it may stand in what is searched: as the server does it.

/** The least that the server is asked for, in characters. */
export const SOUGHT_MIN = 2;

/** As words in small letters, and as digits where it looks like a number. */
export function sought(text: string): string[] {
  const words = text.trim().toLowerCase();
  const digits = words.replace(/[ +\-().]/g, "");
  return /^\d{2,}$/.test(digits) && digits !== words ? [words, digits] : [words];
}
