/**
 * HTML out of templates that escape whatever is put into them.
 *
 * There is no way to put in a text unescaped: markup comes from templates
 * alone. The room owns the frame of pages, their policy headers, forms and
 * form tokens; it has no page of its own.
 */

/** Markup made by {@link html}, and by nothing else. */
export class Html {
  readonly #markup: string;

  private constructor(markup: string) {
    this.#markup = markup;
  }

  /** The template's own text as it is, its values escaped. */
  static fill(parts: readonly string[], values: readonly HtmlValue[]): Html {
    const filled = values.map((value, index) => {
      if (/=\s*$/.test(parts[index] ?? "")) throw new Error("the value of an attribute needs quotes");
      return toMarkup(value) + (parts[index + 1] ?? "");
    });
    return new Html((parts[0] ?? "") + filled.join(""));
  }

  toString(): string {
    return this.#markup;
  }
}

/** What a template takes: texts and numbers to escape, markup, lists of these; absent ones leave nothing. */
export type HtmlValue = Html | string | number | false | undefined | readonly HtmlValue[];

function toMarkup(value: HtmlValue): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.toString();
  if (typeof value === "object") return value.map(toMarkup).join("");
  return String(value).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * Tag of every template. Values may stand in text and between the quotes of
 * an attribute; not in a tag's name, a script or a style.
 *
 * @throws Error for an attribute's value without quotes
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return Html.fill(parts, values);
}
