/**
 * Asks a frontend's providers whether they vouch for a credential: those that it is for, in their
 * order, until one vouches for it; for a session the one that proved its holder.
 */
import type {
  ProviderCredential,
  ProviderIdentity,
  ProviderRefusal,
} from "../../frontdoor/provider-types/provider-type.ts";
import type { Log } from "../../lib/log.ts";
import type { GateFrontend, GateProvider } from "../directory/frontend.ts";
import type { JudgeSession } from "../sessions/judge.ts";
import { readIssuer } from "./issuer.ts";

/** What a provider said. */
export type ProviderAnswer =
  | { readonly provider: GateProvider; readonly identity: ProviderIdentity }
  | { readonly provider: GateProvider; readonly refusal: ProviderRefusal };

/** What asking them came to. */
export type ProvidersAnswer =
  | {
      readonly isGood: true;
      readonly provider: GateProvider;
      readonly identity: ProviderIdentity;
      /** Of a session: until when this holds, and whether a visit of its holder has to renew it. */
      readonly until?: Date;
      readonly isDue?: boolean;
    }
  | {
      readonly isGood: false;
      /** `UNAVAILABLE`: one of those that might have vouched for it could not be asked. */
      readonly reason: "BAD_CREDENTIAL" | "SESSION_ENDED" | "SESSION_UNFIT" | "SESSION_DUE" | "UNAVAILABLE";
      /** For operators; never a secret. */
      readonly detail: string;
    };

/** Where somebody wants to come in. */
export interface AskedTarget {
  /** The visitor's. */
  readonly host: string;
  readonly frontend: GateFrontend;
}

/**
 * Asks the providers about a credential.
 *
 * @param header in which it stands, in lower case
 * @param onAnswer hears each provider's answer, for explanations
 */
export type AskProviders = (
  target: AskedTarget,
  header: string,
  credential: ProviderCredential,
  onAnswer?: (answer: ProviderAnswer) => void,
) => Promise<ProvidersAnswer>;

const noProviders: readonly GateProvider[] = [];

/** Providers that a credential is for, in the order they are asked. */
function findProviders(
  { byIssuer, byKeyHeader, own }: Pick<GateFrontend, "byIssuer" | "byKeyHeader" | "own">,
  header: string,
  credential: ProviderCredential,
): readonly GateProvider[] {
  switch (credential.kind) {
    case "api_key":
      return byKeyHeader.get(header) ?? noProviders;
    case "access_token": {
      const issuer = readIssuer(credential.token);
      return (issuer !== undefined && byIssuer.get(issuer)) || noProviders;
    }
    case "basic":
    case "opaque_token":
    case "personal_token":
      return own;
    // Neither is for any of them.
    case "session":
    case "malformed":
      return noProviders;
  }
}

const sessionRefusals = {
  ended: "SESSION_ENDED",
  unfit: "SESSION_UNFIT",
  due: "SESSION_DUE",
  unavailable: "UNAVAILABLE",
} as const;

/** @see the head of this file */
export function createAskProviders(log: Log, judgeSession: JudgeSession): AskProviders {
  async function ask(provider: GateProvider, credential: ProviderCredential): Promise<ProviderAnswer> {
    try {
      const decision = await provider.type.authenticate(provider.instance, credential);
      if (decision.allowed) return { provider, identity: decision.identity };
      return { provider, refusal: decision };
    } catch (error) {
      log.error({ err: error, provider: provider.id }, "a provider could not be asked about a credential");
      return {
        provider,
        refusal: { allowed: false, reason: "unavailable", detail: "it failed: see the log" },
      };
    }
  }

  async function askOfSession({ frontend, host }: AskedTarget, cookie: string): Promise<ProvidersAnswer> {
    const judgement = await judgeSession(frontend, host, cookie);
    if (judgement.isGood) return judgement;
    return { isGood: false, reason: sessionRefusals[judgement.refusal], detail: judgement.detail };
  }

  return async (target, header, credential, onAnswer) => {
    if (credential.kind === "malformed") {
      return { isGood: false, reason: "BAD_CREDENTIAL", detail: credential.detail };
    }
    if (credential.kind === "session") {
      const answer = await askOfSession(target, credential.cookie);
      if (answer.isGood) onAnswer?.(answer);
      return answer;
    }
    const providers = findProviders(target.frontend, header, credential);
    const refusals: string[] = [];
    let isUnavailable = false;
    for (const provider of providers) {
      const answer = await ask(provider, credential);
      onAnswer?.(answer);
      if ("identity" in answer) return { isGood: true, provider, identity: answer.identity };
      const { reason, detail } = answer.refusal;
      isUnavailable ||= reason === "unavailable";
      refusals.push(`${provider.id} (${reason}): ${detail}`);
    }
    const detail =
      refusals.length > 0 ? refusals.join("; ") : `no accepted provider is for this ${credential.kind}`;
    return { isGood: false, reason: isUnavailable ? "UNAVAILABLE" : "BAD_CREDENTIAL", detail };
  };
}
