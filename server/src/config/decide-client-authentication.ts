/** How the client of a sign-in provider proves itself: which keys of its entry belong together. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import type { ClientAuthentication, ClientAuthenticationMethod } from "../lib/client-authentication.ts";
import { readPem } from "./pem-file.ts";
import type { Problems } from "./problems.ts";
import type { Files } from "./read-settings.ts";
import type { Settings } from "./schema.ts";

type Given = NonNullable<NonNullable<Settings["authentication"]>["oidc_config"]>[string];

/** Keys of an entry that one method or another takes. */
type CredentialKey = "client_secret" | "private_keys" | "key_id" | "team_id";

const credentialKeys: readonly CredentialKey[] = ["client_secret", "private_keys", "key_id", "team_id"];

const takenBy: Readonly<Record<ClientAuthenticationMethod, readonly CredentialKey[]>> = {
  client_secret_basic: ["client_secret"],
  client_secret_post: ["client_secret"],
  client_secret_jwt: ["client_secret"],
  private_key_jwt: ["private_keys"],
  apple: ["private_keys", "key_id", "team_id"],
  none: [],
};

/** Shortest RSA key that is taken, in bits (RFC 7518 §3.3). */
const shortestRsaBits = 2048;

/** The place of an entry, and what it is read with. */
export interface EntryContext {
  readonly path: string;
  /** Whether it is one of those known by name, which take no public client. */
  readonly isWellKnown: boolean;
  readonly files: Files;
  readonly problems: Problems;
}

/** Refuses what the method does not take, and the lack of what it does; then the answer is not to be used. */
export function decideClientAuthentication(
  given: Given,
  method: ClientAuthenticationMethod | undefined,
  context: EntryContext,
): ClientAuthentication {
  const { path, problems } = context;
  const isGiven = (key: CredentialKey) =>
    (given[key]?.length ?? 0) > 0 || problems.isRefused(`${path}.${key}`);
  const taken = method === undefined ? takenBy.client_secret_basic : takenBy[method];
  for (const key of credentialKeys) {
    if (taken.includes(key) && !isGiven(key)) problems.refuse(`${path}.${key}`, toMissing(method, context));
    if (!taken.includes(key) && given[key] !== undefined) {
      const isSaid =
        method === undefined ? "without client_authentication" : `with client_authentication ${method}`;
      problems.refuse(`${path}.${key}`, `must be left out ${isSaid}`);
    }
  }
  const secret = given.client_secret ?? "";
  switch (method) {
    case "none":
      return { method };
    case "private_key_jwt": {
      const [first = "", ...others] = readKeys(given, isClientKey, context);
      return { method, keys: [first, ...others] };
    }
    case "apple": {
      const [key = "", ...others] = readKeys(given, isP256, context);
      if (others.length > 0)
        problems.refuse(`${path}.private_keys`, "must be one key: the one that key_id names");
      return { method, key, keyId: given.key_id ?? "", teamId: given.team_id ?? "" };
    }
    default:
      return { method: method ?? "announced", secret };
  }
}

function toMissing(
  method: ClientAuthenticationMethod | undefined,
  { isWellKnown }: Pick<EntryContext, "isWellKnown">,
): string {
  if (method !== undefined) return `must be given with client_authentication ${method}`;
  return `must be given${isWellKnown ? "" : "; a public client is one by client_authentication: none"}`;
}

/** The keys in PEM form, as far as they are any. */
function readKeys(
  { private_keys: names = [] }: Given,
  isFit: (key: KeyObject) => boolean,
  { path, files, problems }: EntryContext,
): readonly string[] {
  return names.flatMap((name, index) => {
    const content =
      isFit === isP256
        ? "P-256 private key without passphrase"
        : "P-256, RSA or Ed25519 private key without passphrase";
    const parse = (pem: string) => {
      if (!isFit(createPrivateKey(pem))) throw new Error("another key");
    };
    const read = readPem(`${path}.private_keys[${index}]`, name, content, parse, files, problems);
    return read === undefined ? [] : [read.pem];
  });
}

function isP256({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === "prime256v1";
}

function isClientKey(key: KeyObject): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = key;
  if (asymmetricKeyType === "rsa") return (asymmetricKeyDetails?.modulusLength ?? 0) >= shortestRsaBits;
  return asymmetricKeyType === "ed25519" || isP256(key);
}
