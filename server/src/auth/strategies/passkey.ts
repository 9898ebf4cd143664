/**
 * Sign-in by passkey (WebAuthn Level 3).
 *
 * Inside a session that authenticated within ten minutes `Authenticate` begins
 * a registration; without one always a sign-in, without a list of credentials,
 * whatever address the caller names: nobody begins a registration, nor learns
 * whether an account has passkeys, by naming it. Credentials are discoverable
 * and the person is verified, both always. A challenge is the flow's, used
 * once.
 */
import type {
  AuthenticationResponseJSON,
  CredentialDeviceType,
  RegistrationResponseJSON,
  WebAuthnCredential,
} from "@simplewebauthn/server";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import type { Log } from "../../lib/log.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { Passkey, PasskeyUse } from "../../passkeys/passkey.ts";
import type { PasskeyService } from "../../passkeys/service.ts";
import { isRecentSignIn } from "../../sessions/session.ts";
import type { BeginResult, FinishedFlow, Proof, SignedInUser, Strategy } from "../strategy.ts";

/** The relying party (WebAuthn §5.4.2), and where passkeys are kept. */
export interface PasskeyStrategyOptions {
  readonly rpDisplayName: string;
  readonly rpId: string;
  /** Exact origins of pages that may use passkeys. */
  readonly rpOrigins: readonly string[];
  readonly flowSeconds: number;
  readonly passkeys: Pick<PasskeyService, "add" | "noteUse" | "noteCounterRegression">;
  readonly findByCredentialId: (credentialId: string) => Promise<Passkey | undefined>;
  readonly findByUser: (userId: string) => Promise<readonly Passkey[]>;
  readonly findOwner: (
    userId: string,
  ) => Promise<{ readonly handle: string; readonly email: string; readonly title: string } | undefined>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a flow keeps. */
interface Ceremony {
  readonly type: "register" | "login";
  readonly challenge: string;
}

/**
 * COSE algorithms, best first: Ed25519, ES256 and RS256, which every browser and every Node of ours has. Named,
 * for the library's choice goes by the Node it runs on: a passkey of one could not sign in at another.
 */
const algorithms = [-8, -7, -257];

/** Whether it can be a credential's at all: base64url of at most 1023 bytes (WebAuthn Level 3 §7.1). */
function isCredentialId(id: unknown): id is string {
  return typeof id === "string" && /^[\w-]{1,1364}$/.test(id);
}

/** @param userId whose passkey it is, where that is known */
function refuse(detail: string, { cause, userId }: { cause?: unknown; userId?: string } = {}): DomainError {
  const owner = userId === undefined ? undefined : ({ type: "user", id: userId } as const);
  return new DomainError("INVALID_FLOW", { detail, cause, ...(owner && { owner }) });
}

/** The authenticator's answer: JSON in a string as Frontier's clients send it, or an object. */
function readResponse(stateOptions: Metadata): Record<string, unknown> {
  const { options } = stateOptions;
  try {
    const value: unknown = typeof options === "string" ? JSON.parse(options) : options;
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Falls through to the one refusal.
  }
  throw invalidField(
    "state_options.options",
    "must be the authenticator's answer, as an object or as JSON in a string",
  );
}

function toResult(ceremony: Ceremony, ceremonyOptions: object): BeginResult {
  // Through JSON: absent members must be absent, not undefined.
  const plain = JSON.parse(JSON.stringify(ceremonyOptions));
  return { stateOptions: { options: plain, type: ceremony.type }, secret: { ...ceremony } };
}

/** What every answer of an authenticator has to fit. */
interface Expectations {
  readonly expectedOrigin: string[];
  readonly expectedRPID: string;
  readonly requireUserVerification: boolean;
}

/** Verifies an assertion of a passkey, and answers what it tells of it. @throws DomainError INVALID_FLOW */
async function verifyAssertion(
  expectations: Expectations,
  challenge: string,
  answer: AuthenticationResponseJSON,
  passkey: Passkey,
): Promise<PasskeyUse> {
  const { userId } = passkey;
  const { cose, decodeCredentialPublicKey } = await import("@simplewebauthn/server/helpers");
  const algorithm = decodeCredentialPublicKey(passkey.publicKey).get(cose.COSEKEYS.alg);
  if (!algorithms.includes(Number(algorithm))) {
    throw refuse(`passkey ${passkey.id}: algorithm ${algorithm} is none that is taken`, { userId });
  }
  const credential: WebAuthnCredential = {
    id: passkey.credentialId,
    publicKey: passkey.publicKey,
    // Judged below: the library would refuse every regression alike.
    counter: 0,
  };
  const { verifyAuthenticationResponse } = await import("@simplewebauthn/server");
  const result = await verifyAuthenticationResponse({
    response: answer,
    expectedChallenge: challenge,
    credential,
    ...expectations,
  }).catch((error) => {
    throw refuse(`passkey ${passkey.id}: ${describe(error)}`, { cause: error, userId });
  });
  if (!result.verified) throw refuse(`passkey ${passkey.id}: bad signature`, { userId });
  const { newCounter, credentialDeviceType, credentialBackedUp } = result.authenticationInfo;
  return { counter: newCounter, ...toFlags(credentialDeviceType, credentialBackedUp) };
}

function toFlags(type: CredentialDeviceType, isBackedUp: boolean): Omit<PasskeyUse, "counter"> {
  return { isSynced: type === "multiDevice", isBackedUp };
}

/** Strategy `passkey`. */
export function createPasskeyStrategy(options: PasskeyStrategyOptions): Strategy {
  const { rpDisplayName, rpId, rpOrigins, flowSeconds, passkeys, clock, log } = options;
  const timeout = flowSeconds * 1000;
  const expectations: Expectations = {
    expectedOrigin: [...rpOrigins],
    expectedRPID: rpId,
    requireUserVerification: true,
  };

  async function beginRegistration(user: SignedInUser): Promise<BeginResult> {
    if (!isRecentSignIn(user.authenticatedAt, clock.now())) throw new DomainError("REAUTH_REQUIRED");
    const owner = await options.findOwner(user.userId);
    if (owner === undefined) throw new DomainError("USER_NOT_FOUND");
    const registered = await options.findByUser(user.userId);
    const { generateRegistrationOptions } = await import("@simplewebauthn/server");
    const creation = await generateRegistrationOptions({
      rpName: rpDisplayName,
      rpID: rpId,
      userName: owner.email,
      userDisplayName: owner.title || owner.email,
      userID: new Uint8Array(Buffer.from(owner.handle, "base64url")),
      timeout,
      supportedAlgorithmIDs: algorithms,
      attestationType: "none",
      excludeCredentials: registered.map(({ credentialId, transports }) => ({
        id: credentialId,
        transports: [...transports],
      })),
      authenticatorSelection: {
        residentKey: "required",
        requireResidentKey: true,
        userVerification: "required",
      },
    });
    return toResult({ type: "register", challenge: creation.challenge }, creation);
  }

  async function beginLogin(): Promise<BeginResult> {
    const { generateAuthenticationOptions } = await import("@simplewebauthn/server");
    const request = await generateAuthenticationOptions({
      rpID: rpId,
      timeout,
      userVerification: "required",
    });
    return toResult({ type: "login", challenge: request.challenge }, request);
  }

  async function finishRegistration(
    challenge: string,
    response: Record<string, unknown>,
    flow: FinishedFlow,
  ): Promise<Proof> {
    if (flow.user === undefined) throw refuse("passkey: the session that began the registration is gone");
    const { verifyRegistrationResponse } = await import("@simplewebauthn/server");
    const result = await verifyRegistrationResponse({
      response: response as unknown as RegistrationResponseJSON,
      expectedChallenge: challenge,
      supportedAlgorithmIDs: algorithms,
      ...expectations,
    }).catch((error) => {
      throw refuse(`passkey: ${describe(error)}`, { cause: error });
    });
    if (!result.verified) throw refuse("passkey: registration was not verified");
    const { credential, credentialDeviceType, credentialBackedUp } = result.registrationInfo;
    if (!isCredentialId(credential.id))
      throw refuse("passkey: the credential's id is longer than 1023 bytes");
    const passkey = await passkeys.add(flow.user.caller, {
      userId: flow.user.userId,
      credentialId: credential.id,
      publicKey: new Uint8Array(credential.publicKey),
      counter: credential.counter,
      transports: toTransports(credential.transports),
      ...toFlags(credentialDeviceType, credentialBackedUp),
    });
    return { kind: "registration", userId: passkey.userId, passkeyId: passkey.id };
  }

  async function finishLogin(challenge: string, response: Record<string, unknown>): Promise<Proof> {
    const answer = response as unknown as AuthenticationResponseJSON;
    const passkey = isCredentialId(answer.id) ? await options.findByCredentialId(answer.id) : undefined;
    if (passkey === undefined) throw refuse("passkey: unknown credential");
    await checkUserHandle(passkey, answer);
    const use = await verifyAssertion(expectations, challenge, answer, passkey);
    checkFlags(passkey, use);
    await passkeys.noteUse(passkey, use);
    return { kind: "passkey", userId: passkey.userId, passkeyId: passkey.id };
  }

  /** A discoverable credential says whose it is; that must be its owner (§7.2 step 6). */
  async function checkUserHandle(passkey: Passkey, answer: AuthenticationResponseJSON): Promise<void> {
    const owner = await options.findOwner(passkey.userId);
    const { userHandle } = answer.response ?? {};
    if (owner === undefined || userHandle !== owner.handle)
      throw refuse("passkey: another user's handle, or none", { userId: passkey.userId });
  }

  /**
   * A counter that goes back tells of a copy (§6.1.1). One bound to a single
   * device has no business being copied and is refused; synced ones keep no
   * reliable counter, so theirs is only noted. Whether one may be synced is said
   * when it is made and never changes (§6.1.3), but authenticators learn to sync
   * the passkeys that they have: one that becomes synced goes on, and its owner
   * is not locked out. That one should be bound again is refused (§7.2).
   */
  function checkFlags(passkey: Passkey, { counter, isSynced }: PasskeyUse): void {
    const { userId } = passkey;
    if (passkey.isSynced && !isSynced) {
      throw refuse(`passkey ${passkey.id}: was synced and says it never can be`, { userId });
    }
    if (passkey.counter === 0 || counter > passkey.counter || passkey.isSynced !== isSynced) return;
    log.warn({ passkey: passkey.id, stored: passkey.counter, counter }, "a passkey's counter went back");
    passkeys.noteCounterRegression(passkey, counter);
    if (!passkey.isSynced) throw refuse(`passkey ${passkey.id}: counter went back`, { userId });
  }

  return {
    name: "passkey",
    params: {},
    flowSeconds,
    attempts: "once",
    async begin({ user }) {
      return user === undefined ? await beginLogin() : await beginRegistration(user);
    },
    async finish({ stateOptions, flow }) {
      const { type, challenge } = flow.secret as Partial<Ceremony>;
      const response = readResponse(stateOptions);
      if (challenge === undefined) throw refuse("passkey: the flow has no challenge");
      if (type === "register") return await finishRegistration(challenge, response, flow);
      return await finishLogin(challenge, response);
    },
  };
}

/** Nothing vouches for these, nor for their being a list. */
function toTransports(transports: unknown): string[] {
  const given: readonly unknown[] = Array.isArray(transports) ? transports : [];
  const texts = given.filter((one): one is string => typeof one === "string" && /^[a-z-]{1,20}$/.test(one));
  return texts.slice(0, 10);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : "not verified";
}
