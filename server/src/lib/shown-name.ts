/**
 * What a name loses: controls, what reorders or breaks the text around it, and
 * what nobody sees, but for what joins or varies the letters and pictures beside it.
 */
const unshown =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u{fff9}-\u{fffb}[\p{Default_Ignorable_Code_Point}--[\u{200c}\u{200d}\u{fe00}-\u{fe0f}]]]+/gv;

/** A name of which nothing is to be seen: what joins and varies, and the pattern of Braille without a dot. */
const blank = /^(?:[\s\u{2800}]|\p{Default_Ignorable_Code_Point})*$/u;

/**
 * A name that somebody chose, fit to stand in a text of ours: on one line,
 * without what changes the text around it, cut to `most` characters. Empty
 * where nothing is left.
 */
export function toShownName(name: string, most = 80): string {
  const shown = name.replace(unshown, " ").replace(/\s+/g, " ").trim();
  const characters = blank.test(shown) ? [] : [...shown];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters.join("");
}
