/**
 * The texts of mails.
 *
 * A template is plain text with `{{.Otp}}`, `{{.Link}}` and `{{.Minutes}}`, the
 * first two as Frontier's templates have them. The HTML part is made from the
 * same text: paragraphs, the code in large type, the link as a button.
 *
 * Mail programs know little: one table for the width, every style beside its
 * element, and a sheet that those with a dark mode of their own overlook.
 */

/** Values that a mail template may name. Absent values leave nothing in their place. */
export interface TemplateValues {
  /** What the people who are written to call the place. */
  readonly site: string;
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

const font = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

const styles = {
  ground: "margin:0;padding:24px 12px;background:#f4f3f0",
  card: "width:100%;max-width:480px;border:1px solid #dedcd6;border-radius:14px;background:#ffffff",
  text: `padding:28px;font:16px/1.5 ${font};color:#1d1e20;text-align:left`,
  site: "margin:0 0 20px;font-weight:600",
  paragraph: "margin:0 0 16px;overflow-wrap:anywhere",
  code: "display:inline-block;padding:10px 10px 10px 16px;border-radius:8px;background:#eef2fd;font:600 26px/1.3 ui-monospace,Menlo,Consolas,monospace;letter-spacing:6px;white-space:nowrap",
  button:
    "display:inline-block;padding:12px 22px;border-radius:8px;background:#1f4fd8;color:#ffffff;font-weight:600;text-decoration:none",
};

const darkSheet = [
  ".ground{background:#131416!important}",
  ".card{background:#1b1d20!important;border-color:#34373d!important}",
  ".text{color:#ececea!important}",
  ".code{background:#20273a!important}",
  ".button{background:#9db7ff!important;color:#10172b!important}",
].join("");

function toHtmlValue(name: string, values: TemplateValues): string {
  const value = escapeHtml(toText(name, values));
  if (name === "Otp") return `<strong class="code" style="${styles.code}">${value}</strong>`;
  return name !== "Link" || value === "" ? value : toButton({ link: value, label: "Sign in" });
}

/** A link with a paragraph of its own. */
export interface MailLink {
  readonly link: string;
  /** What the button says. */
  readonly label: string;
}

/** Of what is escaped. */
function toButton({ link, label }: MailLink): string {
  return `<a class="button" href="${link}" style="${styles.button}">${label}</a>`;
}

function toParagraph(html: string): string {
  return `<p style="${styles.paragraph}">${html.replaceAll("\n", "<br>")}</p>`;
}

/** A mail's texts as they are sent. */
export interface MailTexts {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

function toHtml(subject: string, site: string, paragraphs: readonly string[]): string {
  const title = escapeHtml(subject);
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">',
    `<style>@media (prefers-color-scheme:dark){${darkSheet}}</style></head>`,
    `<body class="ground" style="${styles.ground}">`,
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td align="center">',
    `<table role="presentation" class="card" cellpadding="0" cellspacing="0" style="${styles.card}"><tr>`,
    `<td class="text" style="${styles.text}"><p style="${styles.site}">${escapeHtml(site)}</p>`,
    ...paragraphs,
    "</td></tr></table></td></tr></table></body></html>",
  ].join("\n");
}

/** Puts the values in: subject, text and HTML of the mail. */
export function renderMail(template: MailTemplate, values: TemplateValues): MailTexts {
  const fill = (text: string) => text.replace(placeholder, (_match, name: string) => toText(name, values));
  const subject = fill(template.subject).replace(/[\r\n]+/g, " ");
  const paragraphs = template.body
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) => {
      // Escaped first: the braces of a placeholder survive it.
      const html = escapeHtml(paragraph).replace(placeholder, (_match, name: string) =>
        toHtmlValue(name, values),
      );
      return toParagraph(html);
    });
  return { subject, text: fill(template.body), html: toHtml(subject, values.site, paragraphs) };
}

/**
 * A mail in words of ours, with what others chose in them as they chose it:
 * nothing in it is a placeholder.
 */
export function renderNotice(site: string, subject: string, body: readonly (string | MailLink)[]): MailTexts {
  const paragraphs = body.map((part) => {
    if (typeof part === "string") return toParagraph(escapeHtml(part));
    return toParagraph(toButton({ link: escapeHtml(part.link), label: escapeHtml(part.label) }));
  });
  const text = body.map((part) => (typeof part === "string" ? part : part.link)).join("\n\n");
  return { subject, text, html: toHtml(subject, site, paragraphs) };
}
