/** Readers for single values: text in, typed value out, `ValueError` for the rest. */
import { toAsciiDomain } from "../lib/ascii-domain.ts";
import { fromBase64url } from "../lib/base64url.ts";
import { isUuid } from "../lib/ids.ts";
import { ValueError } from "../lib/value-error.ts";
import type { ListenConfig, MailSenderConfig } from "./config.ts";

/** Characters of each of the two session keys. */
export const sessionKeyCharacters = 32;
/** Bytes of an encryption key. */
export const encryptionKeyBytes = 32;
const shortestSecretCharacters = 32;
const longestSecretCharacters = 1024;

/** Reads `host:port`; an IPv6 address stands in brackets. */
export function parseListen(text: string): ListenConfig {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const isHost = match?.[1] === undefined || URL.canParse(`http://[${match[1]}]`);
  if (host === undefined || !isHost || port > 65535) {
    throw new ValueError("must be host:port, such as 127.0.0.1:7400 or [::1]:7400, with a port up to 65535");
  }
  return { host, port };
}

/** Reads a UUID into lower case. */
export function parseUuid(text: string): string {
  if (!isUuid(text)) throw new ValueError("must be a UUID");
  return text.toLowerCase();
}

/** Reads a secret that callers present: long enough not to be guessed, and able to stand in a header. */
export function parseClientSecret(text: string): string {
  const characters = [...text].length;
  if (characters < shortestSecretCharacters || characters > longestSecretCharacters) {
    throw new ValueError(
      `must be ${shortestSecretCharacters} to ${longestSecretCharacters} characters, has ${characters}`,
    );
  }
  return parseLine(text);
}

/** Reads a text on one line, not empty, without control characters. */
export function parseLine(text: string): string {
  if (text.trim() === "" || /\p{Cc}/u.test(text))
    throw new ValueError("must be text on one line, and not empty");
  return text;
}

/**
 * Reads where an answer has a value: names joined by dots, several ways
 * separated by spaces.
 *
 * @throws ValueError
 */
export function parseClaimPaths(text: string): readonly string[] {
  const paths = text.trim().split(/ +/);
  if (!paths.every((path) => /^[\w-]+(\.[\w-]+)*$/.test(path))) {
    throw new ValueError("must be the name of a member, as data.id; several are separated by spaces");
  }
  return paths;
}

/** Reads a key of the session cookie. Its characters are its bytes, hence ASCII. */
export function parseSessionKey(text: string): string {
  const characters = [...text].length;
  if (characters !== sessionKeyCharacters) {
    throw new ValueError(`must be exactly ${sessionKeyCharacters} characters, has ${characters}`);
  }
  if (!/^[\x20-\x7e]*$/.test(text)) {
    throw new ValueError(`must be exactly ${sessionKeyCharacters} printable ASCII characters, has others`);
  }
  return text;
}

/** Reads a comma list of distinct keys of 32 bytes in base64url; each stays base64url. */
export function parseEncryptionKeys(text: string): readonly string[] {
  const keys = text.split(",").map((part) => part.trim());
  for (const [index, key] of keys.entries()) {
    if (fromBase64url(key)?.length !== encryptionKeyBytes) {
      const which = keys.length > 1 ? `key ${index + 1} of ${keys.length} is not` : "is not";
      throw new ValueError(
        `must be ${encryptionKeyBytes} bytes as base64url (43 characters, no padding), or several with commas between; ${which}`,
      );
    }
  }
  if (new Set(keys).size < keys.length) throw new ValueError("must not name one key twice");
  return keys;
}

/** Reads a host name of several labels into the spelling of DNS, such as `example.com`: `bücher.example` is `xn--bcher-kva.example`. */
export function parseDomain(given: string): string {
  const text = toAsciiDomain(given) ?? given;
  const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
  if (text.length > 253 || !new RegExp(`^${label}(?:\\.${label})+$`, "i").test(text)) {
    throw new ValueError(
      "must be a domain such as example.com: no scheme, port, wildcard or dot at its start",
    );
  }
  return text.toLowerCase();
}

/** As {@link parseDomain}; one label such as `localhost` is enough. */
export function parseHostName(text: string): string {
  return text === "localhost" ? text : parseDomain(text);
}

/** Reads a mail address into lower case, its domain as {@link parseDomain} does. */
export function parseEmail(text: string): string {
  const [local = "", domain = "", ...rest] = text.split("@");
  if (!/^[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}$/i.test(local) || rest.length > 0)
    throw new ValueError("must be a mail address");
  try {
    return `${local.toLowerCase()}@${parseHostName(domain)}`;
  } catch {
    throw new ValueError("must be a mail address");
  }
}

/** Reads a sender: an address, or `Name <address>`. */
export function parseMailSender(text: string): MailSenderConfig {
  const [, name, bracketed] = /^([^<>"\p{Cc}]{1,100}?)\s*<([^<>]*)>$/u.exec(text) ?? [];
  try {
    return { name: name?.trim(), address: parseEmail(bracketed ?? text) };
  } catch {
    throw new ValueError("must be a mail address, or Name <address>");
  }
}

/** Reads the name of a header (RFC 9110 §5.1) into lower case. */
export function parseHeaderName(text: string): string {
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$/i.test(text)) throw new ValueError("must be the name of a header");
  return text.toLowerCase();
}

/** Reads one OAuth 2 scope (RFC 6749 §3.3). */
export function parseScope(text: string): string {
  if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(text)) throw new ValueError("must be one scope, without spaces");
  return text;
}

/**
 * Reads where the database is: `sqlite:` and a path, kept relative as written,
 * or a Postgres URL.
 */
export function parseDatabaseUrl(
  text: string,
): { dialect: "sqlite"; path: string } | { dialect: "postgres"; url: string } {
  const expected = "must be sqlite:<path of a file> or postgres://[user[:password]@]host[:port]/database";
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { dialect: "postgres", url: text };
  // `sqlite:///a/b` is the URL form of `sqlite:/a/b`; `sqlite://a/b` would make `a` a host.
  const path = /^sqlite:(?:\/\/(?=\/))?((?!\/\/)[^?#\0]+)$/.exec(text)?.[1];
  if (path === undefined || path === ":memory:" || path.endsWith("/")) throw new ValueError(expected);
  return { dialect: "sqlite", path };
}
