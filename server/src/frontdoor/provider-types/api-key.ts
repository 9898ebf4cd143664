/** `API_KEY`: secrets that this service makes for a provider, sent in a header. */
import { hashSecret, isMistyped } from "../../lib/secrets.ts";
import { runStep, toSampleCheck, toWrongSample } from "./checks.ts";
import type { ApiKeySource, ProviderTypeContext, StoredApiKey } from "./context.ts";
import { findText } from "./data.ts";
import type {
  ProviderData,
  ProviderDecision,
  ProviderIdentity,
  ProviderInstance,
  ProviderType,
} from "./provider-type.ts";
import { decide, refuse } from "./refused.ts";
import { kinds, makeSchema } from "./schema-parts.ts";

const about = {
  name: "API_KEY",
  displayName: "API key",
  description: "Let machines in by keys made here, each shown once, expiring and revocable",
} as const;

const defaultHeader = "X-API-Key";

/** Longest key looked at, in characters; real ones have 53. */
const longestKey = 512;

/** Makes the type. */
export function createApiKeyType(context: ProviderTypeContext): ProviderType {
  const decideOn = (provider: ProviderInstance, key: string): Promise<ProviderDecision> =>
    decide(async () => toIdentity(await getKey(provider, key, context.apiKeys), context));

  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, { required: [], properties }),
    secretFields: [],
    organizationFields: [],
    endpointFields: [],
    normalise: (data) => ({ ...data, header: getHeader(data).toLowerCase() }),
    accepts: (data) => ({ issuers: [], keyHeader: getHeader(data).toLowerCase(), own: false }),
    async authenticate(provider, credential) {
      if (credential.kind !== "api_key") {
        return await decide(async () => refuse("wrong_kind", "this provider takes an API key in its header"));
      }
      return await decideOn(provider, credential.key);
    },
    async *test(provider, sample) {
      yield (await describeHeader(provider.data)).check;
      if (sample.token !== undefined)
        yield toWrongSample("this type takes no tokens: present a key as the sample");
      if (sample.apiKey !== undefined) yield toSampleCheck(await decideOn(provider, sample.apiKey));
    },
  };
}

function getHeader(data: ProviderData): string {
  return findText(data, "header") ?? defaultHeader;
}

function describeHeader(data: ProviderData) {
  return runStep("header", async () => ({
    detail: `keys are read from the header ${getHeader(data)}`,
    value: true,
  }));
}

async function getKey({ id }: ProviderInstance, key: string, keys: ApiKeySource): Promise<StoredApiKey> {
  if (key.length > longestKey || !key.startsWith("vstk_")) {
    refuse(
      "malformed",
      "this is not one of this service's keys, which begin with vstk_: create one for this provider",
    );
  }
  if (isMistyped("vstk", key)) refuse("malformed", "the key was mistyped or cut: copy it again, whole");
  if (id === undefined) {
    refuse(
      "unknown_credential",
      "the provider is not stored yet, so it has no keys: store it, then create one",
    );
  }
  const stored = await keys.findApiKey(id, hashSecret(key));
  return (
    stored ??
    refuse("unknown_credential", "no key of this provider: it was deleted, or is another provider's")
  );
}

function toIdentity(
  { id, title, expiresAt }: StoredApiKey,
  { clock, apiKeys }: Pick<ProviderTypeContext, "clock" | "apiKeys">,
): ProviderIdentity {
  const now = clock.now();
  if (expiresAt !== undefined && expiresAt <= now) {
    refuse(
      "expired",
      `the key expired at ${expiresAt.toISOString()}, this server's clock says ${now.toISOString()}: create a new one`,
    );
  }
  return {
    subject: id,
    name: title,
    emailVerified: false,
    organizations: [],
    groups: [],
    claims: { sub: id, title },
    ...(expiresAt !== undefined && { expiresAt }),
    dependsOn: [id],
    noteUse: () => apiKeys.noteUse(id),
  };
}

const properties = {
  header: {
    ...kinds.header,
    title: "Header",
    description: "Request header that carries the key; none that has another meaning, such as Authorization.",
    default: defaultHeader,
    examples: [defaultHeader],
  },
} as const;
