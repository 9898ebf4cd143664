/**
 * Tells the owners of accounts what has changed about signing in to them. Best
 * effort: a mail that cannot be sent is logged, and nobody waits for it.
 */
import type { Log } from "../lib/log.ts";
import type { Mailer } from "./mailer.ts";
import {
  type EmptiedAccount,
  toEndedSessionsNotice,
  toNewAddressNotice,
  toOldAddressNotice,
  toOwnerlessNotice,
  toPasskeyNotice,
  toProviderMoveNotice,
  toTakeOverNotice,
  toUnlinkNotice,
  toUnusedTokenNotice,
} from "./notices.ts";

/** An account that somebody else's proof of its address emptied, and what that left behind. */
export interface TakenOverAccount extends EmptiedAccount {
  readonly email: string;
  /** Organizations that are disabled now, for want of an owner. */
  readonly disabled: readonly { readonly id: string; readonly name: string }[];
}

/** Sends notices. Nothing here throws or waits. */
export interface Notifier {
  tellOfPasskey(to: string, event: "added" | "removed", name: string): void;
  tellOfUnlinking(to: string, identity: { readonly strategy: string; readonly email: string }): void;
  /** Somebody who runs the platform has ended sessions of an account. */
  tellOfEndedSessions(to: string, count: number): void;
  /** Somebody who runs the platform has given an account another address: both are told. */
  tellOfEmailChange(from: string, to: string): void;
  /** An identity provider has given an account another address: the one before is told. */
  tellOfProviderMove(from: string, to: string): void;
  /** The owner of a personal access token has not used it for long. */
  tellOfUnusedToken(token: {
    readonly email: string;
    readonly title: string;
    readonly organization: string;
  }): void;
  /** Tells the owner, and those who run the platform of organizations without one. */
  tellOfTakeOver(account: TakenOverAccount): void;
}

/** @see the head of this file */
export function createNotifier(options: {
  readonly mailer: Pick<Mailer, "send">;
  /** What the people who come here call the place. */
  readonly siteName: string;
  readonly adminEmails: readonly string[];
  readonly log: Log;
}): Notifier {
  const { mailer, siteName, adminEmails, log } = options;

  function send(to: string, notice: ReturnType<typeof toPasskeyNotice>, failure: string): void {
    mailer.send({ to, ...notice }).catch((err) => log.warn({ err }, failure));
  }

  return {
    tellOfPasskey: (to, event, name) =>
      send(to, toPasskeyNotice(siteName, event, name), "the owner of a passkey could not be told of it"),
    tellOfUnlinking: (to, { strategy, email }) =>
      send(to, toUnlinkNotice(siteName, strategy, email), "the owner of an identity could not be told of it"),
    tellOfEndedSessions: (to, count) =>
      send(to, toEndedSessionsNotice(siteName, count), "the owner of ended sessions could not be told of it"),
    tellOfEmailChange(from, to) {
      const failure = "the owner of an account could not be told of its new address";
      send(from, toOldAddressNotice(siteName, to), failure);
      send(to, toNewAddressNotice(siteName), failure);
    },
    tellOfProviderMove: (from, to) =>
      send(
        from,
        toProviderMoveNotice(siteName, to),
        "the owner of an account could not be told of its new address",
      ),
    tellOfUnusedToken: ({ email, title, organization }) =>
      send(
        email,
        toUnusedTokenNotice(siteName, title, organization),
        "the owner of an unused token could not be told of it",
      ),
    tellOfTakeOver(account) {
      const { email, disabled } = account;
      const failure = "an account was taken over and a mail of it failed";
      send(email, toTakeOverNotice(siteName, account), failure);
      if (disabled.length === 0) return;
      const notice = toOwnerlessNotice(siteName, email, disabled);
      for (const admin of adminEmails) send(admin, notice, failure);
      log.warn(
        { organizations: disabled.map(({ id }) => id) },
        "an account was taken over by the owner of its mailbox; organizations without an owner are disabled",
      );
    },
  };
}
