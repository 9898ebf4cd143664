/** What a name loses: controls, what reorders or breaks the text around it, and what nobody sees. */
const unshown =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u{200b}\u{2060}-\u{2064}\u{feff}\u{fff9}-\u{fffb}\u{e0000}-\u{e007f}]+/gu;

/**
 * A name that somebody chose, fit to stand in a text of ours: on one line,
 * without what changes the text around it, cut to `most` characters. Empty
 * where nothing is left.
 */
export function toShownName(name: string, most = 80): string {
  const characters = [...name.replace(unshown, " ").replace(/\s+/g, " ").trim()];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters.join("");
}
