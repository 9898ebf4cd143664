/** Longest title, in characters; the schema's. */
export const longestTitle = 200;

/** What a title does not have: controls, separators of lines, and what turns the direction of writing; the schema's. */
const unfit = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Whether a text may be a title of somebody or something, for forms, which no schema reads. */
export function isTitle(text: string): boolean {
  return text.replace(unfit, "") === text && text.isWellFormed() && [...text].length <= longestTitle;
}

/** What may be a title of a text; empty where nothing is left. */
export function toTitle(text: string): string {
  const fit = text.toWellFormed().replace(unfit, "").trim();
  return [...fit].slice(0, longestTitle).join("");
}
