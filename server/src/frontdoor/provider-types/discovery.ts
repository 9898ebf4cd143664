/** Discovery documents (OpenID Connect Discovery 1.0 §4, RFC 8414 §3) and the keys they lead to. */
import type { RemoteJson } from "../../egress/fetch-json.ts";
import type { JsonCache } from "../../egress/json-cache.ts";
import { type KeySource, readKeySet } from "../../signatures/key-set.ts";
import { toShown } from "./bearer-jwt.ts";
import { refuse } from "./refused.ts";

/** What is wrong with the document's issuer; undefined when it is the expected one to the letter. */
export function findIssuerProblem(document: RemoteJson, issuer: string): string | undefined {
  if (document.issuer === issuer) return undefined;
  return `the discovery document says its issuer is ${toShown(document.issuer)}, the provider says ${toShown(issuer)}: set issuer to what the document says, to the letter`;
}

/** The keys of an issuer by way of its discovery document, both from the cache. */
export function createDiscoveredKeys(
  documents: JsonCache,
  { issuer, discoveryUrl }: { readonly issuer: string; readonly discoveryUrl: string },
): KeySource {
  async function getKeySetUrl(): Promise<string> {
    const document = await documents.get(discoveryUrl);
    const problem = findIssuerProblem(document, issuer);
    if (problem !== undefined) refuse("unavailable", problem);
    if (typeof document.jwks_uri === "string") return document.jwks_uri;
    return refuse("unavailable", "the discovery document has no jwks_uri: the issuer must publish its keys");
  }
  return {
    get: async () => readKeySet(await documents.get(await getKeySetUrl())),
    refresh: async () => readKeySet(await documents.refresh(await getKeySetUrl())),
  };
}
