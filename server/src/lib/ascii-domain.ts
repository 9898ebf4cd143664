import { domainToASCII } from "node:url";

/** Letters, digits and the marks on them: nothing that a URL would take for the end of its host. */
const ownScript = /^[\p{L}\p{N}\p{M}-]+$/u;

/**
 * The one spelling of a domain that mail servers and DNS have: labels beyond
 * ASCII as punycode (`xn--bcher-kva`, UTS #46), all others as they are but in
 * lower case.
 *
 * A label that would come to plain ASCII, such as one with a Kelvin sign, is
 * nobody's own script but another's name in disguise.
 *
 * @returns undefined where a label cannot be one; what is ASCII is not judged
 */
export function toAsciiDomain(domain: string): string | undefined {
  const labels = domain.split(".").map(toAsciiLabel);
  return labels.includes(undefined) ? undefined : labels.join(".");
}

function toAsciiLabel(label: string): string | undefined {
  if (/^[\0-\x7f]*$/.test(label)) return label.toLowerCase();
  const ascii = ownScript.test(label) ? domainToASCII(label) : "";
  return ascii.startsWith("xn--") ? ascii : undefined;
}
