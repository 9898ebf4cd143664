/** What the trail records, and what a record of it carries: an event that lacks any of it does not compile. */

import { findingNames } from "../lib/findings.ts";

/** What records of an action carry. */
export interface ActionSpec {
  /** Type of its target, of which events give the id; of several types events say which. */
  readonly target?: string | readonly string[];
  /** Whether it happens in an organization; all else concerns the platform. */
  readonly org?: true;
  /** What is not always there, or not known. */
  readonly maybe?: readonly ("target" | "org")[];
  /** Names of the details that each record has. */
  readonly details?: readonly string[];
  /** Names of those that a record may have besides. */
  readonly more?: readonly string[];
  /** Names of those by which a person is known or reached: struck out once their account is deleted. */
  readonly personal?: readonly string[];
  /** Of a refusal, which changes nothing. */
  readonly refuses?: true;
}

const credential = ["service_user_id", "title"] as const;
const provider = ["frontdoor", "name", "type", "enabled", "revision"] as const;
const frontend = ["frontdoor", "hostname", "providers"] as const;
const gateSession = ["frontdoor", "frontend", "provider", "subject"] as const;
const proxyToken = ["frontdoor", "title"] as const;
const invited = ["email", "role", "expires_at"] as const;
const address = ["email"] as const;
const addresses = ["email", "previous_email"] as const;
const pat = ["title", "scopes", "expires_at"] as const;
const apiKey = ["frontdoor", "provider", "title", "expires_at"] as const;

/** Every action, as `<noun>.<verb>`. Names are stable: people filter by them, and records are kept for months. */
export const actions = {
  "user.invite": { details: address, personal: address },
  "user.create": { target: "user" },
  "user.prove_email": { target: "user" },
  "user.take_over": { target: "user", details: ["identities", "passkeys", "sessions", "organizations"] },
  "user.enable": { target: "user" },
  "user.update": { target: "user", details: ["changed"] },
  "user.begin_email_change": { target: "user" },
  "user.refuse_email_change": { target: "user", refuses: true },
  "user.change_email": {
    target: "user",
    details: [...addresses, "sessions"],
    more: ["because"],
    personal: addresses,
  },
  "user.undo_email_change": {
    target: "user",
    details: [...addresses, "sessions", "passkeys", "identities", "pats"],
    personal: addresses,
  },
  "user.export": { target: "user" },
  "user.disable": { target: "user", more: ["ownerless_org_ids", "reason"] },
  "user.delete": { target: "user" },
  "user.revoke_session": { target: "user", details: ["session"] },
  "identity.join": { target: "user", details: ["issuer", "strategy"] },
  "identity.unlink": { target: "user", details: ["issuer", "strategy"] },
  "passkey.add": { target: "passkey", details: ["name"], personal: ["name"] },
  "passkey.rename": { target: "passkey", details: ["name"], personal: ["name"] },
  "passkey.remove": { target: "passkey" },
  "passkey.sync": { target: "passkey", details: ["user"] },
  "passkey.counter_regression": { target: "passkey", details: ["user", "counters"] },
  "pat.create": { target: "pat", org: true, details: pat, personal: ["title"] },
  "pat.update": { target: "pat", org: true, details: pat, personal: ["title"] },
  "pat.regenerate": { target: "pat", org: true, details: pat, personal: ["title"] },
  "pat.delete": { target: "pat", org: true, details: pat, personal: ["title"] },
  "session.create": { target: "session", details: ["strategy", "replaced"] },
  "session.reauthenticate": { target: "session", details: ["strategy", "replaced"] },
  "session.revoke": { target: "session" },
  "session.revoke_all": { target: "user", details: ["revoked"] },
  "session.sign_out": { target: "session" },
  "sign_in.refuse": { target: "user", maybe: ["target"], more: ["strategy", ...findingNames], refuses: true },
  "mail.withhold": { target: "user", maybe: ["target"], details: ["strategy", "limit"], refuses: true },
  "mail.fail": { target: "user", maybe: ["target"], refuses: true },

  "organization.create": { target: "organization", org: true, details: ["name"] },
  "organization.update": {
    target: "organization",
    org: true,
    details: ["changed"],
    more: ["name", "previous_name"],
  },
  "organization.enable": { target: "organization", org: true },
  "organization.disable": { target: "organization", org: true, more: ["because"] },
  "organization.delete": { target: "organization", org: true, details: ["name"] },
  "member.add": { target: "user", org: true, details: ["role", "via"] },
  "member.set_role": { target: "user", org: true, details: ["role", "previous_role"] },
  "member.remove": { target: "user", org: true, more: ["because"] },
  "invitation.create": { target: "invitation", org: true, details: invited, personal: address },
  "invitation.renew": { target: "invitation", org: true, details: invited, personal: address },
  "invitation.accept": {
    target: "invitation",
    org: true,
    details: ["email", "role", "invited_by"],
    personal: address,
  },
  "invitation.decline": { target: "invitation", org: true, details: address, personal: address },
  "invitation.delete": {
    target: "invitation",
    org: true,
    details: address,
    more: ["because"],
    personal: address,
  },
  "invitation.expire": { target: "invitation", org: true, details: address, personal: address },
  "project.create": { target: "project", org: true, details: ["name"] },
  "project.update": {
    target: "project",
    org: true,
    details: ["changed"],
    more: ["name", "previous_name"],
  },
  "project.delete": { target: "project", org: true, details: ["name"] },
  "project.add_member": { target: ["user", "serviceuser"], org: true, details: ["project"] },
  "project.remove_member": { target: ["user", "serviceuser"], org: true, details: ["project"] },

  "service_user.create": { target: "serviceuser", org: true, details: ["title", "role"] },
  "service_user.update": {
    target: "serviceuser",
    org: true,
    more: ["title", "metadata", "role", "previous_role"],
  },
  "service_user.enable": { target: "serviceuser", org: true },
  "service_user.disable": { target: "serviceuser", org: true },
  "service_user.delete": { target: "serviceuser", org: true, details: ["title"] },
  "credential.create": { target: "credential", org: true, details: credential, more: ["expires_at"] },
  "credential.rotate": {
    target: "credential",
    org: true,
    details: [...credential, "successor_id"],
    more: ["expires_at"],
  },
  "credential.delete": { target: "credential", org: true, details: credential, more: ["expires_at"] },
  "credential.refuse": {
    target: "credential",
    org: true,
    maybe: ["target", "org"],
    more: ["suppressed", "since"],
    refuses: true,
  },
  "key.create": { target: "key", org: true, details: credential, more: ["expires_at"] },
  "key.delete": { target: "key", org: true, details: credential, more: ["expires_at"] },
  "token.create": { target: "token", org: true, details: credential, more: ["expires_at"] },
  "token.delete": { target: "token", org: true, details: credential, more: ["expires_at"] },
  "token.issue": { target: "token", org: true, maybe: ["org"], details: ["auth_via", "credential_id"] },
  "token.revoke": { target: "token", org: true, maybe: ["org"] },

  "frontdoor.create": { target: "frontdoor", org: true, details: ["name"] },
  "frontdoor.delete": { target: "frontdoor", org: true, details: ["name"] },
  "auth_provider.create": { target: "auth-provider", org: true, details: provider },
  "auth_provider.update": { target: "auth-provider", org: true, details: [...provider, "changed"] },
  "auth_provider.replace": { target: "auth-provider", org: true, details: [...provider, "changed"] },
  "auth_provider.rollback": { target: "auth-provider", org: true, details: [...provider, "changed"] },
  "auth_provider.delete": { target: "auth-provider", org: true, details: provider },
  "auth_provider.test": {
    target: "auth-provider",
    org: true,
    maybe: ["target"],
    details: ["frontdoor", "type"],
  },
  "custom_frontend.create": { target: "custom-frontend", org: true, details: frontend },
  "custom_frontend.replace": { target: "custom-frontend", org: true, details: frontend },
  "custom_frontend.delete": { target: "custom-frontend", org: true, details: frontend },
  "proxy_token.create": { target: "proxy-token", org: true, details: proxyToken },
  "proxy_token.delete": { target: "proxy-token", org: true, details: proxyToken },
  "gate_session.end": {
    target: "gate-session",
    org: true,
    maybe: ["org"],
    details: [...gateSession, "because"],
  },
  "api_key.create": { target: "api-key", org: true, details: apiKey },
  "api_key.delete": { target: "api-key", org: true, details: apiKey },
  "gate.deny": {
    target: "custom-frontend",
    org: true,
    maybe: ["target", "org"],
    details: ["frontdoor"],
    more: ["host"],
    refuses: true,
  },
  "gate_login.refuse": {
    target: "custom-frontend",
    org: true,
    details: ["frontdoor", "host", "provider"],
    more: findingNames,
    refuses: true,
  },
  "gate_login.confirm": { target: "user", org: true, details: ["frontdoor"] },
  "gate_session.create": { target: "gate-session", org: true, details: gateSession },
  "gate_session.sign_out": { target: "gate-session", org: true, details: ["frontdoor", "host"] },

  "signing_key.create": { target: "signing-key", details: ["algorithm", "signs_from"] },
  "signing_key.hasten": { target: "signing-key", details: ["algorithm", "signs_from"] },
  "signing_key.revoke": { target: "signing-key" },
  "signing_key.delete": { target: "signing-key" },
  "encryption_key.retire": { target: "encryption-key", details: ["successor_id"] },
} as const satisfies Record<string, ActionSpec>;

/** A key of {@link actions}. */
export type Action = keyof typeof actions;

type Specs = typeof actions;

/** Type of an action's target, where it is always the same. */
export function findTargetType(action: Action): string | undefined {
  const { target }: ActionSpec = actions[action];
  return typeof target === "string" ? target : undefined;
}

/** Actions of refusals. */
export type RefusedAction = { [A in Action]: Specs[A] extends { refuses: true } ? A : never }[Action];

type Maybe<S, Name extends string> = S extends { maybe: readonly (infer M)[] }
  ? Name extends M
    ? true
    : false
  : false;

type Target<S> = S extends { target: readonly (infer Type)[] }
  ? { readonly type: Type; readonly id: string }
  : string;

type TargetOf<S> = S extends { target: unknown }
  ? Maybe<S, "target"> extends true
    ? { readonly target?: Target<S> }
    : { readonly target: Target<S> }
  : { readonly target?: undefined };

type OrgOf<S> = S extends { org: true }
  ? Maybe<S, "org"> extends true
    ? { readonly orgId?: string }
    : { readonly orgId: string }
  : { readonly orgId?: undefined };

type Names<S, Member extends string> = S extends { [M in Member]: readonly (infer Name extends string)[] }
  ? Name
  : never;

type Details<S> = { readonly [Name in Names<S, "details">]: string } & {
  readonly [Name in Names<S, "more">]?: string;
};

type DetailsOf<S> = S extends { details: unknown }
  ? { readonly details: Details<S> }
  : S extends { more: unknown }
    ? { readonly details?: Details<S> }
    : { readonly details?: undefined };

type EventOf<A extends Action> = { readonly action: A } & TargetOf<Specs[A]> &
  OrgOf<Specs[A]> &
  DetailsOf<Specs[A]>;

/** What is recorded of any of some actions: the action, its target, where it happened, and details. Never a secret. */
export type Recorded<Some extends Action> = { [A in Some]: EventOf<A> }[Some];
