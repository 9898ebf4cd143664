/** Every place that verifies a signature, put together as the server does it. */
import { randomBytes, randomUUID } from "node:crypto";
import { createGateVerifier } from "../../../clients/node/src/verify/gate-assertion.ts";
import { TokenError } from "../../../clients/node/src/verify/token-error.ts";
import { createVerifier } from "../../../clients/node/src/verify/verifier.ts";
import { createOidcStrategy } from "../../../server/src/auth/strategies/oidc.ts";
import { createTestEgress, startLocalServer } from "../../../server/src/egress/test-support.ts";
import { createSealer } from "../../../server/src/encryption/sealer.ts";
import { createGoogleType } from "../../../server/src/frontdoor/provider-types/google.ts";
import { createJwtType } from "../../../server/src/frontdoor/provider-types/jwt.ts";
import { createOidcType } from "../../../server/src/frontdoor/provider-types/oidc.ts";
import type {
  ProviderData,
  ProviderType,
} from "../../../server/src/frontdoor/provider-types/provider-type.ts";
import {
  createTestContext,
  type TestContext,
} from "../../../server/src/frontdoor/provider-types/test-support.ts";
import { DomainError } from "../../../server/src/lib/errors.ts";
import { silentLog } from "../../../server/src/lib/log.ts";
import { createServiceUserAuthenticator } from "../../../server/src/service-users/authenticator.ts";
import type { KeyPair } from "../../../server/src/service-users/credential.ts";
import { readPublicJwk } from "../../../server/src/service-users/public-jwk.ts";
import { createAccessTokens } from "../../../server/src/tokens/access-token.ts";
import { createAssertionAuthenticator } from "../../../server/src/tokens/assertions.ts";
import { createTokenSigner, toSnapshot } from "../../../server/src/tokens/keyring.ts";
import type { SigningKey } from "../../../server/src/tokens/signing-key.ts";
import type { Algorithm, Draft, Jwk, Presented } from "./signer.ts";

/** One token to be judged: what it has to say, and the judgement. */
export interface Trial {
  readonly draft: Draft;
  /** Whether it was taken. Throws what is neither yes nor no. */
  judge(presented: Presented): Promise<boolean>;
}

/** A place that verifies. */
export interface Place {
  readonly name: string;
  readonly algorithms: readonly Algorithm[];
  /** Whether keys come to it from others, odd ones too. */
  readonly takesForeignKeys: boolean;
  begin(): Promise<Trial>;
}

const kid = "019a0000-0000-7000-8000-00000000abcd";
const issuer = "https://id.example.org";
const audience = "https://api.example.org";
const serviceUserId = "019a0000-0000-7000-8000-000000000001";
const clock = { now: () => new Date() };
const clockSkewSeconds = 60;

const ownAlgorithms = ["ES256", "RS256", "EdDSA"] as const;
const allAlgorithms = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"] as const;

function toTimes() {
  const iat = Math.floor(Date.now() / 1000);
  return { iat, nbf: iat, exp: iat + 600, jti: randomUUID() };
}

/** true when the work ends well; false when it is refused by an error of this kind. */
async function isTaken(
  work: () => Promise<unknown>,
  isRefusal: (error: unknown) => boolean,
): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (isRefusal(error)) return false;
    throw error;
  }
}

function isRefusedFor(...reasons: readonly string[]): (error: unknown) => boolean {
  return (error) => error instanceof DomainError && reasons.includes(error.reason);
}

function toAccessTokenDraft(): Draft {
  const claims = {
    ...toTimes(),
    iss: issuer,
    aud: audience,
    sub: serviceUserId,
    client_id: kid,
    gen: "system",
    sub_type: "app/serviceuser",
    auth_via: "client_credentials",
  };
  return { header: { typ: "at+jwt", kid }, claims };
}

const sealer = createSealer([randomBytes(32)]);

const accessTokens: Place = {
  name: "our own access tokens",
  algorithms: ownAlgorithms,
  takesForeignKeys: false,
  begin: async () => ({
    draft: toAccessTokenDraft(),
    judge: ({ jwk, token }) => isTaken(() => verifyOwn(jwk, token), isRefusedFor("NOT_AUTHENTICATED")),
  }),
};

async function verifyOwn(jwk: Jwk, token: string): Promise<unknown> {
  const ofType = { EC: "ES256", RSA: "RS256", OKP: "EdDSA" } as const;
  const algorithm = ofType[jwk.kty as keyof typeof ofType];
  const publicJwk = { ...jwk, kid, alg: algorithm, use: "sig" } as SigningKey["publicJwk"];
  const at = clock.now();
  const key = { kid, algorithm, publicJwk, sealedPrivateKey: "", createdAt: at, signsFromAt: at };
  const snapshot = toSnapshot([key], sealer, at);
  const keyring = { get: async () => snapshot, peek: () => snapshot };
  const tokens = createAccessTokens({
    keyring,
    sign: createTokenSigner(keyring),
    clock,
    issuer,
    audience,
    validitySeconds: 600,
    clockSkewSeconds,
    isRevoked: () => false,
  });
  return await tokens.verify(token);
}

/** A key is registered, then it signs; either may be refused. */
function assertionsBy(name: string, relaxed: boolean): Place {
  return {
    name,
    algorithms: ownAlgorithms,
    takesForeignKeys: true,
    begin: async () => ({
      draft: {
        header: { typ: "JWT", kid },
        claims: { ...toTimes(), iss: serviceUserId, sub: serviceUserId, aud: issuer },
      },
      judge: ({ jwk, token }) =>
        isTaken(
          () => createAssertions(jwk).authenticate(token, "jwt_bearer", { relaxed }),
          isRefusedFor("NOT_AUTHENTICATED", "INVALID_REQUEST"),
        ),
    }),
  };
}

function createAssertions(jwk: Jwk) {
  const at = clock.now();
  const holder = { id: serviceUserId, orgId: "o", createdAt: at, updatedAt: at, title: "", metadata: {} };
  const credential: KeyPair = {
    kind: "key",
    id: kid,
    serviceUserId,
    orgId: "o",
    title: "",
    createdAt: at,
    publicJwk: readPublicJwk(jwk, kid),
  };
  const noCache = {
    peek: () => undefined,
    get: (key: string, load: (key: string) => Promise<unknown>) => load(key),
    refresh: (key: string, load: (key: string) => Promise<unknown>) => load(key),
  } as never;
  const keys = createServiceUserAuthenticator({
    source: {
      findCredential: async (id) => (id === kid ? credential : undefined),
      findTokenByHash: async () => undefined,
      findServiceUser: async () => ({ ...holder, role: "viewer", state: "enabled", superuser: false }),
      findOrganizationState: async () => "enabled",
    },
    caches: { credentials: noCache, tokens: noCache, serviceUsers: noCache, organizationStates: noCache },
    usage: { recordUse: () => {} },
    clock,
  });
  return createAssertionAuthenticator({
    keys,
    clock,
    audiences: [issuer],
    clockSkewSeconds,
    consume: async () => true,
  });
}

/** A provider that is asked about a bearer token; its documents are what the case says. */
function providerOf(
  name: string,
  algorithms: readonly Algorithm[],
  createType: (context: TestContext) => ProviderType,
  toData: (jwk: Jwk) => unknown,
): Place {
  let keys: readonly Jwk[] = [];
  const answer = async (url: string) =>
    url.endsWith("/jwks") ? { keys } : { issuer, jwks_uri: `${issuer}/jwks` };
  const context = { ...createTestContext(), clock, documents: { get: answer, refresh: answer } };
  const type = createType(context);
  return {
    name,
    algorithms,
    takesForeignKeys: true,
    begin: async () => ({
      draft: {
        header: { typ: "JWT", kid },
        claims: { ...toTimes(), iss: issuer, aud: audience, sub: "ann" },
      },
      judge: async ({ jwk, token }) => {
        keys = [jwk];
        const provider = { id: "p", orgId: "o", data: toData(jwk) as ProviderData };
        return (await type.authenticate(provider, { kind: "access_token", token })).allowed;
      },
    }),
  };
}

const providers: readonly Place[] = [
  providerOf("a JWT provider, keys inline", allAlgorithms, createJwtType, (jwk) => ({
    issuer,
    audiences: [audience],
    jwks: { keys: [jwk] },
  })),
  providerOf("a JWT provider, keys by address", allAlgorithms, createJwtType, () => ({
    issuer,
    audiences: [audience],
    jwksUri: `${issuer}/jwks`,
  })),
  providerOf("an OIDC provider", allAlgorithms, createOidcType, () => ({ issuer, clientId: audience })),
  providerOf(
    "a GOOGLE provider",
    ["RS256"],
    (context) => createGoogleType(context, issuer),
    () => ({ clientId: audience }),
  ),
];

/** Signs in with OpenID Connect at a real issuer, which answers the token as its ID token. */
async function startSignIn(): Promise<{ place: Place; close(): Promise<void> }> {
  let presented: Presented = { token: "", jwk: {} };
  const server = await startLocalServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer(request.url)));
  });
  const { origin } = server;

  function answer(path: string | undefined): object {
    if (path === "/jwks") return { keys: [presented.jwk] };
    if (path === "/token") {
      return { access_token: "at", token_type: "bearer", expires_in: 60, id_token: presented.token };
    }
    return {
      issuer: origin,
      authorization_endpoint: `${origin}/auth`,
      token_endpoint: `${origin}/token`,
      jwks_uri: `${origin}/jwks`,
      id_token_signing_alg_values_supported: allAlgorithms,
    };
  }

  const place: Place = {
    name: "the ID token of a sign-in",
    algorithms: allAlgorithms,
    takesForeignKeys: true,
    async begin() {
      const callbackUrl = `${issuer}/callback`;
      // A strategy of its own: keys are kept for a while.
      const strategy = createOidcStrategy({
        name: "acme",
        issuerUrl: origin,
        callbackUrl,
        clientId: audience,
        clientAuthentication: { method: "none" },
        clockSkewSeconds,
        scopes: ["openid"],
        flowSeconds: 600,
        authoritativeDomains: [],
        egress: createTestEgress(),
        clock,
        log: silentLog,
      });
      const { secret } = await strategy.begin({ callbackUrl, state: "s" });
      const claims = { ...toTimes(), iss: origin, aud: audience, sub: "ann", nonce: secret.nonce };
      return {
        draft: { header: { typ: "JWT", kid }, claims },
        judge(given) {
          presented = given;
          const flow = { id: "f", callbackUrl, secret };
          return isTaken(
            () => strategy.finish({ code: "c", stateOptions: {}, flow }),
            isRefusedFor("PROVIDER_PROVES_NOTHING"),
          );
        },
      };
    },
  };
  return { place, close: () => server.close() };
}

/** `@vestibule/node/verify`, in the programs that take our access tokens. */
const client: Place = {
  name: "our access tokens at a resource server",
  algorithms: ownAlgorithms,
  takesForeignKeys: true,
  begin: async () => ({
    draft: toAccessTokenDraft(),
    judge: ({ jwk, token }) => {
      const verifier = createVerifier({
        issuer,
        audience,
        fetch: async () => Response.json({ keys: [jwk] }),
      });
      return isTaken(
        () => verifier.verifyAccessToken(token),
        (error) => error instanceof TokenError,
      );
    },
  }),
};

/** The same package, in apps behind the gate. */
const gatedApp: Place = {
  name: "the gate's assertions at an app",
  algorithms: ownAlgorithms,
  takesForeignKeys: true,
  begin: async () => ({
    draft: {
      header: { typ: "vestibule-gate+jwt", kid },
      claims: { ...toTimes(), iss: issuer, aud: audience, sub: serviceUserId, provider: kid },
    },
    judge: ({ jwk, token }) => {
      const verifier = createGateVerifier({
        issuer,
        audience,
        fetch: async () => Response.json({ keys: [jwk] }),
      });
      return isTaken(
        () => verifier.verifyGateAssertion(token),
        (error) => error instanceof TokenError,
      );
    },
  }),
};

/** All of them; the one that signs in has an issuer to be closed. */
export async function openPlaces(): Promise<{ places: readonly Place[]; close(): Promise<void> }> {
  const { place: signIn, close } = await startSignIn();
  const assertions = [
    assertionsBy("assertions", false),
    assertionsBy("assertions of Frontier's clients", true),
  ];
  return { places: [accessTokens, ...assertions, ...providers, signIn, client, gatedApp], close };
}
