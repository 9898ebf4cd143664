/** `JWT`: bearer JWTs of an issuer without discovery, by its key set or keys given inline. */
import type { RemoteJson } from "../../egress/fetch-json.ts";
import { createFixedKeys, createRemoteKeys } from "../../signatures/key-set.ts";
import { type BearerRules, verifyBearerJwt } from "./bearer-jwt.ts";
import {
  checkKeySet,
  type DryRun,
  fetchDocument,
  resolveName,
  toSampleCheck,
  toWrongSample,
  untriedSample,
} from "./checks.ts";
import type { ProviderTypeContext } from "./context.ts";
import { findText, findTexts, getText, memoByData, toCanonicalUrl } from "./data.ts";
import { toIdentity } from "./identity.ts";
import { getAlgorithms } from "./oidc.ts";
import type { ProviderCheck, ProviderData, ProviderDecision, ProviderType } from "./provider-type.ts";
import { decide, refuse } from "./refused.ts";
import { algorithmsProperty, kinds, listOf, makeSchema } from "./schema-parts.ts";

const about = {
  name: "JWT",
  displayName: "JSON Web Token",
  description: "Validate JWTs by a key set: at an address, or written into the provider",
} as const;

/** Makes the type. */
export function createJwtType(context: ProviderTypeContext): ProviderType {
  const toRules = memoByData((data) => makeRules(data, context));

  function decideOn(token: string, rules: BearerRules): Promise<ProviderDecision> {
    return decide(async () => toIdentity(await verifyBearerJwt(token, rules, context)));
  }

  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, {
      required: ["issuer", "audiences"],
      oneOf: [{ required: ["jwksUri"] }, { required: ["jwks"] }],
      properties,
    }),
    secretFields: [],
    organizationFields: [],
    endpointFields: ["jwksUri", "issuer"],
    normalise,
    accepts: (data) => ({ issuers: [getText(data, "issuer")], own: false }),
    async authenticate({ data }, credential) {
      if (credential.kind === "access_token") return await decideOn(credential.token, toRules(data));
      return await decide(async () => refuse("wrong_kind", "this provider takes a JWT as bearer token"));
    },
    async *test({ data }, sample, signal) {
      const keySet = yield* testKeys({ egress: context.egress, signal }, data);
      if (sample.apiKey !== undefined) {
        yield toWrongSample("this type takes no API keys: present a token as the sample");
      }
      if (sample.token === undefined) return;
      if (keySet === undefined) yield untriedSample;
      else
        yield toSampleCheck(
          await decideOn(sample.token, { ...toRules(data), keys: createFixedKeys(keySet) }),
        );
    },
  };
}

function makeRules(data: ProviderData, { documents }: ProviderTypeContext): BearerRules {
  const url = findText(data, "jwksUri");
  return {
    issuers: [getText(data, "issuer")],
    audiences: findTexts(data, "audiences") ?? [],
    authorizedParty: undefined,
    algorithms: getAlgorithms(data, "algorithms"),
    requiredClaims: {},
    keys: url === undefined ? createFixedKeys(getInlineKeySet(data)) : createRemoteKeys(documents, url),
  };
}

function getInlineKeySet(data: ProviderData): RemoteJson {
  return data.jwks as RemoteJson;
}

async function* testKeys(
  run: DryRun,
  data: ProviderData,
): AsyncGenerator<ProviderCheck, RemoteJson | undefined> {
  const algorithms = getAlgorithms(data, "algorithms");
  const url = findText(data, "jwksUri");
  if (url === undefined) {
    const inline = await checkKeySet(getInlineKeySet(data), algorithms);
    yield inline.check;
    return inline.value;
  }
  const name = await resolveName(run, url);
  yield name.check;
  if (name.value === undefined) return undefined;
  const fetched = await fetchDocument(run, "jwks", url);
  const keySet = fetched.value === undefined ? fetched : await checkKeySet(fetched.value, algorithms);
  yield keySet.check;
  return keySet.value;
}

function normalise(data: ProviderData): ProviderData {
  const url = findText(data, "jwksUri");
  return { ...data, ...(url !== undefined && { jwksUri: toCanonicalUrl(url) }) };
}

const encoded = { type: "string", minLength: 1, maxLength: 4096 };
const short = { type: "string", minLength: 1, maxLength: 512 };

/** A public key (RFC 7517 §4); members of private and symmetric keys are no properties here. */
const publicKey = {
  type: "object",
  title: "Public key",
  description: "The public half of a key as a JWK. Private and symmetric keys are refused.",
  additionalProperties: false,
  required: ["kty"],
  properties: {
    kty: { type: "string", enum: ["RSA", "EC", "OKP"] },
    kid: short,
    alg: short,
    use: short,
    key_ops: { type: "array", items: short, maxItems: 8 },
    crv: short,
    x: encoded,
    y: encoded,
    n: encoded,
    e: encoded,
    x5c: { type: "array", items: { type: "string", maxLength: 8192 }, maxItems: 8 },
    x5t: short,
    "x5t#S256": short,
  },
} as const;

const properties = {
  issuer: {
    ...kinds.identifier,
    title: "Issuer",
    description: "Value of iss in accepted tokens, exactly.",
    examples: ["https://ci.example.com"],
  },
  audiences: listOf(kinds.audience, {
    title: "Audiences",
    description: "A token is accepted when its aud holds one of these.",
    examples: [["https://app.example.com"]],
  }),
  jwksUri: {
    ...kinds.url,
    title: "Key set URL",
    description: "Where the issuer publishes its public keys. Give this or the keys themselves.",
    examples: ["https://ci.example.com/.well-known/jwks.json"],
  },
  jwks: {
    type: "object",
    title: "Key set",
    description: "The issuer's public keys, for issuers that cannot be asked. Give this or an address.",
    additionalProperties: false,
    required: ["keys"],
    properties: { keys: { type: "array", items: publicKey, minItems: 1, maxItems: 64 } },
    // RFC 8037, appendix A.2.
    examples: [{ keys: [{ kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }],
  },
  algorithms: algorithmsProperty,
} as const;
