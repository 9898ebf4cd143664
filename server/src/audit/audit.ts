/**
 * The audit trail's port: what other rooms hand over to be recorded.
 *
 * Every change is recorded in the transaction that makes it, so that neither
 * exists without the other. Refused credentials and issued tokens change
 * nothing themselves: they are noted, and stored within 100 ms. The room owns
 * the records and their retention; it never changes one, but for striking out
 * what a deleted account was called (`strike-out.ts`), and knows no noun.
 */
import type { Tx } from "../db/database.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Caller } from "../principals/principal.ts";
import type { Action, Recorded, RefusedAction } from "./actions.ts";

/** Type and id of whom or what a record is about. */
export interface AuditSubject {
  /** `serviceuser`, `user`, `credential`, `key`, `token`, `organization`, `project`, `signing-key`, … */
  readonly type: string;
  readonly id: string;
}

/** What is about somebody who may have no account, or whom nobody has proven to be. */
interface AboutMailbox {
  /** In the one spelling of addresses, lower case. No record holds it: kept is a keyed hash (`mailboxes.ts`). */
  readonly mailbox?: string | undefined;
}

/** A change or success to be recorded, as {@link actions} has it. Values that could be secret are left out. */
export type AuditEvent = Recorded<Exclude<Action, RefusedAction>> & AboutMailbox;

/** A refusal: why, for the owner of the credential, not for the caller. */
export type AuditRefusal = Recorded<RefusedAction> &
  AboutMailbox & {
    /** Out of the table of reasons, or of the gate's. */
    readonly reason: string;
    /** Who the credential belongs to, as far as known. */
    readonly actor?: AuditSubject;
    /** Kind of the refused credential: `basic`, `access_token`, … */
    readonly credentialKind?: string;
    /** Id of the refused credential, if it has one and that is known. */
    readonly credentialId?: string;
    /** Whether there is no such credential, or none any more: its former owner is then looked for. */
    readonly isUnknown?: boolean;
    /** Operator's detail: expired, disabled, wrong secret, unknown id, … */
    readonly detail?: string;
  };

/** Actors that change something which nobody called for over the wire. */
export type AuditAgent = "server" | "command-line";

/** Takes what is to be recorded. */
export interface AuditTrail {
  /** Records a change with the transaction that makes it. */
  record(tx: Tx, caller: Caller, event: AuditEvent): Promise<void>;
  /**
   * Records changes that nobody called for over the wire, with the
   * transaction that makes them.
   *
   * @param agent `server` for what it does by itself, `command-line` for the operator's commands.
   */
  recordOwn(tx: Tx, agent: AuditAgent, ...events: readonly AuditEvent[]): Promise<void>;
  /** Notes a success that is no change, such as an issued token. Never blocks, never throws. */
  note(caller: Caller, event: AuditEvent): void;
  /**
   * Notes a refusal. One that names a mailbox and no target is about the account
   * of that mailbox, if it has one. Never blocks, never throws.
   */
  refuse(request: RequestInfo, refusal: AuditRefusal): void;
}
