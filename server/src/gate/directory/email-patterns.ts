/** Which addresses a policy's patterns let in. */
import { toAsciiDomain } from "../../lib/ascii-domain.ts";

/** Whether an address may come in. */
export type EmailRule = (email: string) => boolean;

/**
 * A rule of patterns in lower case, whose `*` stands for any characters but `@`.
 * Fits only what has exactly one `@`: of `a@evil.example@company.example` nobody
 * can say whose it is. Takes time in proportion to pattern and address.
 */
export function createEmailRule(patterns: readonly string[]): EmailRule {
  const split = patterns.map((pattern) => splitAddress(pattern)).filter((parts) => parts !== undefined);
  return (email) => {
    const parts = splitAddress(toLowerCase(email));
    if (parts === undefined) return false;
    const [ofLocal, ofDomain] = [parts[0], toAsciiDomain(parts[1]) ?? parts[1]];
    return split.some(([local, domain]) => fits(local, ofLocal) && fits(domain, ofDomain));
  };
}

/** But for the one sign that is ASCII in lower case and not before: with it an address is another's. */
function toLowerCase(email: string): string {
  return email.replace(/[^\u212a]+/g, (text) => text.toLowerCase());
}

function splitAddress(text: string): readonly [local: string, domain: string] | undefined {
  const at = text.indexOf("@");
  if (at <= 0 || at !== text.lastIndexOf("@") || at === text.length - 1) return undefined;
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Each run between asterisks is looked for behind the one before: the leftmost place leaves most to the others. */
function fits(pattern: string, text: string): boolean {
  const runs = pattern.split("*");
  const [first = ""] = runs;
  if (runs.length === 1) return text === first;
  const last = runs.at(-1) ?? "";
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let from = first.length;
  const end = text.length - last.length;
  if (from > end) return false;
  for (const run of runs.slice(1, -1)) {
    const at = text.indexOf(run, from);
    if (at < 0 || at + run.length > end) return false;
    from = at + run.length;
  }
  return true;
}
