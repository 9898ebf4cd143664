import type { RemoteJson } from "../../egress/fetch-json.ts";
import type { SignatureAlgorithm } from "../../signatures/algorithms.ts";
import {
  checkKeySet,
  type DryRun,
  failStep,
  fetchDocument,
  inventedCode,
  probeTokenEndpoint,
  resolveName,
  runStep,
  type Step,
  toSampleCheck,
  toWrongSample,
  untriedSample,
  vetEndpoints,
} from "./checks.ts";
import { findIssuerProblem } from "./discovery.ts";
import type { ProviderCheck, ProviderDecision, ProviderSample } from "./provider-type.ts";

/** An OpenID Connect issuer and the client that uses it. */
export interface IssuerUnderTest {
  readonly issuer: string;
  readonly discoveryUrl: string;
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly clientId: string;
  /** Tried at the token endpoint when there is one. */
  readonly clientSecret: string | undefined;
  /** How, if not as the issuer's document announces. */
  readonly clientAuthentication?: string | undefined;
  readonly supportsPkce: boolean;
  /** Absent for true. */
  readonly supportsNonce?: boolean;
  /** Where people are to come back to; absent for a provider without an id so far. */
  readonly redirectUri: string | undefined;
}

/** A challenge of RFC 7636, of a verifier that nobody has. */
const inventedChallenge = "A".repeat(43);

const endpointNames = {
  required: ["authorization_endpoint", "token_endpoint", "jwks_uri"],
  optional: ["userinfo_endpoint", "end_session_endpoint"],
};

/**
 * The dry run of an issuer: name, discovery document, issuer, keys, endpoints,
 * PKCE, client and sample. What needs a step that failed is left out.
 *
 * @param decideOn decides about a token by the key set just fetched.
 */
export async function* testIssuer(
  run: DryRun,
  tested: IssuerUnderTest,
  sample: ProviderSample,
  decideOn: (token: string, keySet: RemoteJson) => Promise<ProviderDecision>,
): AsyncGenerator<ProviderCheck> {
  const keySet = yield* testDocuments(run, tested);
  if (sample.apiKey !== undefined) {
    yield toWrongSample("this type takes no API keys: present a token as the sample");
  }
  if (sample.token === undefined) return;
  yield keySet === undefined ? untriedSample : toSampleCheck(await decideOn(sample.token, keySet));
}

async function* testDocuments(
  run: DryRun,
  tested: IssuerUnderTest,
): AsyncGenerator<ProviderCheck, RemoteJson | undefined> {
  const name = await resolveName(run, tested.discoveryUrl);
  yield name.check;
  if (name.value === undefined) return undefined;

  const discovery = await fetchDocument(run, "discovery", tested.discoveryUrl);
  yield discovery.check;
  const document = discovery.value;
  if (document === undefined) return undefined;

  const issuer = await checkIssuer(document, tested.issuer);
  yield issuer.check;
  if (issuer.value === undefined) return undefined;

  const keySet = await fetchKeySet(run, document, tested.algorithms);
  yield keySet.check;
  const endpoints = await vetEndpoints(run, document, endpointNames);
  yield endpoints.check;
  yield tested.supportsPkce ? (await checkPkce(document)).check : toWeakness("pkce", "the nonce");
  if (tested.supportsNonce === false) yield toWeakness("nonce", "PKCE");
  if (tested.redirectUri !== undefined && endpoints.value !== undefined) {
    yield (await tryRedirect(run, document, tested, tested.redirectUri)).check;
  }
  if (tested.clientSecret !== undefined && endpoints.value !== undefined) {
    yield (await tryClient(run, document, tested, tested.clientSecret)).check;
  }
  return keySet.value;
}

function checkIssuer(document: RemoteJson, issuer: string): Promise<Step<true>> {
  return runStep("issuer", async () => {
    const problem = findIssuerProblem(document, issuer);
    if (problem !== undefined) failStep(problem);
    return { detail: "the discovery document names the same issuer", value: true };
  });
}

async function fetchKeySet(
  run: DryRun,
  document: RemoteJson,
  algorithms: readonly SignatureAlgorithm[],
): Promise<Step<RemoteJson>> {
  if (typeof document.jwks_uri !== "string") {
    return await runStep("jwks", async () =>
      failStep("the discovery document has no jwks_uri: the issuer must publish its keys"),
    );
  }
  const fetched = await fetchDocument(run, "jwks", document.jwks_uri);
  return fetched.value === undefined ? fetched : await checkKeySet(fetched.value, algorithms);
}

/** Loud, and no fault: there may be no choice. */
function toWeakness(name: string, other: string): ProviderCheck {
  return {
    name,
    ok: true,
    detail: `turned off: ${other} alone ties a code to its login; turn it on unless the issuer cannot`,
  };
}

function checkPkce(document: RemoteJson): Promise<Step<true>> {
  return runStep("pkce", async () => {
    const methods = document.code_challenge_methods_supported;
    if (methods === undefined)
      return { detail: "not announced by the issuer; most accept it all the same", value: true };
    if (!(Array.isArray(methods) && methods.includes("S256"))) {
      failStep("the issuer does not support PKCE with S256: set supportsPkce to false");
    }
    return { detail: "the issuer supports S256", value: true };
  });
}

/** What issuers answer to a redirect URI they do not know; other statuses have other causes. */
const refusedStatuses = new Set([400, 403]);

/**
 * Whether the issuer would send people back: it is asked without anybody to
 * sign in, which it has to answer at the redirect URI, if it knows it (OpenID
 * Connect Core §3.1.2.6), and must not otherwise (RFC 6749 §4.1.2.1).
 */
function tryRedirect(
  { egress, signal }: DryRun,
  document: RemoteJson,
  { clientId, supportsPkce }: IssuerUnderTest,
  redirectUri: string,
): Promise<Step<true>> {
  return runStep("redirect_uri", async () => {
    const url = new URL(String(document.authorization_endpoint));
    const challenge = { code_challenge: inventedChallenge, code_challenge_method: "S256" };
    const asked = {
      client_id: clientId,
      redirect_uri: redirectUri,
      response_type: "code",
      scope: "openid",
      prompt: "none",
      state: inventedCode,
      nonce: inventedCode,
      ...(supportsPkce && challenge),
    };
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    const headers = { accept: "text/html" };
    const { status, headers: answered } = await egress.fetch(url.href, {
      headers,
      redirects: "return",
      signal,
    });
    const location = answered.get("location") ?? "";
    if (location.startsWith(`${redirectUri}?`)) {
      return { detail: `the issuer sends people back to ${redirectUri}`, value: true };
    }
    if (refusedStatuses.has(status)) {
      failStep(`the issuer does not send people back to ${redirectUri}: register it there as a redirect URI`);
    }
    const detail = `the issuer does not tell whether it sends people back to ${redirectUri}: see that it is registered there`;
    return { detail, value: true };
  });
}

/** Methods by which a secret can be tried (OpenID Connect Core §9). */
const secretMethods = ["client_secret_basic", "client_secret_post"];

/** Errors that are repeated in a detail; another server's own words might repeat the secret it was sent. */
const shownErrors = new Set([
  "invalid_request",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_scope",
  "access_denied",
  "redirect_uri_mismatch",
]);

/** What a token endpoint answers to a client it does not believe (RFC 6749 §5.2). */
function isClientRefused({ status, error }: { status: number; error: string }): boolean {
  return status === 401 || error === "invalid_client";
}

/** In the place of a redirect URI that is not known so far: a code that was made up is refused first. */
const unregistered = "https://redirect.invalid/";

function tryClient(
  run: DryRun,
  document: RemoteJson,
  { clientId, clientAuthentication, redirectUri = unregistered }: IssuerUnderTest,
  clientSecret: string,
): Promise<Step<true>> {
  return runStep("client", async () => {
    const listed = document.token_endpoint_auth_methods_supported;
    const announced: readonly unknown[] = Array.isArray(listed) ? listed : ["client_secret_basic"];
    const offered = clientAuthentication === undefined ? announced : [clientAuthentication];
    const method = secretMethods.find((each) => offered.includes(each));
    if (method === undefined) {
      return { detail: "not tried: no client secret goes to the issuer by header or form", value: true };
    }
    const form = { grant_type: "authorization_code", code: inventedCode, redirect_uri: redirectUri };
    const endpoint = String(document.token_endpoint);
    const answer =
      method === "client_secret_basic"
        ? await probeTokenEndpoint(run, endpoint, form, { authorization: toBasic(clientId, clientSecret) })
        : await probeTokenEndpoint(run, endpoint, {
            ...form,
            client_id: clientId,
            client_secret: clientSecret,
          });
    if (isClientRefused(answer)) {
      failStep("the issuer does not accept this clientId with this clientSecret: copy both from it again");
    }
    if (answer.error === "invalid_grant") {
      return { detail: "the issuer accepts clientId and clientSecret", value: true };
    }
    const said = shownErrors.has(answer.error) ? answer.error : `status ${answer.status}`;
    return { detail: `not refused by the issuer, which answered ${said} to an invented code`, value: true };
  });
}

/** Both halves form-encoded first (RFC 6749 §2.3.1). */
function toBasic(clientId: string, clientSecret: string): string {
  const encode = (text: string) => new URLSearchParams({ a: text }).toString().slice(2);
  return `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString("base64")}`;
}
