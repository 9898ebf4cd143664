/**
 * The texts of mails.
 *
 * A template is plain text with `{{.Otp}}`, `{{.Link}}` and `{{.Minutes}}`, the
 * first two as Frontier's templates have them. The HTML part is made from the
 * same text: paragraphs, the code in large type, the link as a button.
 */

/** What a template may name. Absent values leave nothing in their place. */
export interface TemplateValues {
  readonly otp: string;
  readonly link?: string;
  /** For how long the code and the link work. */
  readonly minutes: number;
}

/** A mail's texts before the values are put in. */
export interface MailTemplate {
  readonly subject: string;
  readonly body: string;
}

const placeholder = /\{\{\s*\.(Otp|Link|Minutes)\s*\}\}/g;

function toText(name: string, values: TemplateValues): string {
  if (name === "Otp") return values.otp;
  return name === "Link" ? (values.link ?? "") : String(values.minutes);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function toHtmlValue(name: string, values: TemplateValues): string {
  const value = escapeHtml(toText(name, values));
  if (name === "Otp")
    return `<strong style="font:600 24px/1.5 monospace;letter-spacing:4px">${value}</strong>`;
  if (name !== "Link" || value === "") return value;
  const style =
    "display:inline-block;padding:12px 20px;border-radius:8px;background:#1f4fd8;color:#fff;text-decoration:none";
  return `<a href="${value}" style="${style}">Sign in</a>`;
}

/** Puts the values in: subject, text and HTML of the mail. */
export function renderMail(
  template: MailTemplate,
  values: TemplateValues,
): { readonly subject: string; readonly text: string; readonly html: string } {
  const fill = (text: string) => text.replace(placeholder, (_match, name: string) => toText(name, values));
  const paragraphs = template.body
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) => {
      // Escaped first: the braces of a placeholder survive it.
      const html = escapeHtml(paragraph).replace(placeholder, (_match, name: string) =>
        toHtmlValue(name, values),
      );
      return `<p style="margin:0 0 16px">${html.replaceAll("\n", "<br>")}</p>`;
    });
  const body = `<div style="font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:480px">${paragraphs.join("")}</div>`;
  return {
    subject: fill(template.subject).replace(/[\r\n]+/g, " "),
    text: fill(template.body),
    html: `<!doctype html><html lang="en"><body style="margin:24px">${body}</body></html>`,
  };
}
