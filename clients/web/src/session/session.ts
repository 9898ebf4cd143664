/**
 * Who is signed in, as far as this page knows.
 *
 * The cookie is out of reach for scripts, so the server is asked; what it said
 * is kept until something hints that it has changed: a sign-in or sign-out
 * here or in another tab, a call that was refused, the session's end.
 */

import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { User } from "@vestibule/proto/vestibule/v1/user_pb";
import type { Clock } from "../surroundings.ts";

/** A person's sign-in in this browser. */
export interface CurrentSession {
  /** The session's id, as `ListSessions` shows it. */
  readonly id: string;
  readonly user: User;
  readonly signedInAt: Date;
  /** When it ends, used or not. */
  readonly expiresAt: Date;
}

/**
 * What happened: `signed_in` and `signed_out` by this or another tab, `found`
 * and `updated` by asking the server, `expired` at its time, and `ended` from
 * elsewhere, such as from a list of sessions.
 */
export type SessionEvent = "found" | "signed_in" | "updated" | "signed_out" | "expired" | "ended";

/** A change of who is signed in. */
export interface SessionChange {
  readonly event: SessionEvent;
  /** Undefined: nobody. */
  readonly current: CurrentSession | undefined;
}

/** Who is signed in. */
export interface Session {
  /** Undefined: nobody, or not known yet. */
  readonly current: CurrentSession | undefined;
  /** Whether the server has been asked, or has told. */
  readonly isKnown: boolean;
  /** Calls back after each change. @returns what ends that */
  onChange(listener: (change: SessionChange) => void): () => void;
  /**
   * Asks the server who is signed in; those who ask together ask once.
   *
   * @throws ConnectError when it cannot be asked; what was known stays.
   */
  refresh(): Promise<CurrentSession | undefined>;
}

/** What a keeper of the session calls, and by which clock. */
export interface SessionKeeperOptions {
  readonly auth: Pick<Client<typeof AuthService>, "getCurrentUser" | "listSessions">;
  readonly clock: Pick<Clock, "now">;
}

/** How far the clocks of browser and server may differ before an end looks like another's doing. */
const clockSkewMs = 60_000;

/** Keeps what is known. */
export class SessionKeeper implements Session {
  readonly #options: SessionKeeperOptions;
  readonly #listeners = new Set<(change: SessionChange) => void>();
  #current: CurrentSession | undefined;
  #isKnown = false;
  #asking: Promise<CurrentSession | undefined> | undefined;
  /** Counts what makes an answer that is still on its way out of date. */
  #epoch = 0;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
  }

  get current(): CurrentSession | undefined {
    return this.#current;
  }

  get isKnown(): boolean {
    return this.#isKnown;
  }

  onChange(listener: (change: SessionChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refresh(): Promise<CurrentSession | undefined> {
    return this.#refresh("found");
  }

  /** Takes note that somebody signed in, and asks who it is. */
  begin(): Promise<CurrentSession | undefined> {
    this.#epoch += 1;
    this.#asking = undefined;
    return this.#refresh("signed_in");
  }

  /** Takes note that the session is over. */
  end(event: "signed_out" | "expired" | "ended"): void {
    this.#epoch += 1;
    this.#asking = undefined;
    this.#set(undefined, event);
  }

  #refresh(event: "found" | "signed_in"): Promise<CurrentSession | undefined> {
    if (this.#asking !== undefined) return this.#asking;
    const asking = this.#ask(event).finally(() => {
      if (this.#asking === asking) this.#asking = undefined;
    });
    this.#asking = asking;
    return asking;
  }

  async #ask(event: "found" | "signed_in"): Promise<CurrentSession | undefined> {
    const epoch = this.#epoch;
    const found = await this.#fetch();
    if (epoch !== this.#epoch) return await (this.#asking ?? this.#current);
    this.#set(found, this.#toEvent(found, event));
    return found;
  }

  /** Both calls carry one cookie; a sign-out between them looks like none. */
  async #fetch(): Promise<CurrentSession | undefined> {
    const { auth } = this.#options;
    try {
      const [{ user }, { sessions }] = await Promise.all([auth.getCurrentUser({}), auth.listSessions({})]);
      const session = sessions.find(({ isCurrentSession }) => isCurrentSession);
      if (!user || !session?.createdAt || !session.expiresAt) return undefined;
      const { id, createdAt, expiresAt } = session;
      return { id, user, signedInAt: timestampDate(createdAt), expiresAt: timestampDate(expiresAt) };
    } catch (error) {
      if (isNobody(error)) return undefined;
      throw error;
    }
  }

  #toEvent(found: CurrentSession | undefined, event: "found" | "signed_in"): SessionEvent {
    const before = this.#current;
    if (found !== undefined) return before?.id === found.id ? "updated" : event;
    if (before === undefined) return "found";
    const isOver = this.#options.clock.now().getTime() > before.expiresAt.getTime() - clockSkewMs;
    return isOver ? "expired" : "ended";
  }

  #set(current: CurrentSession | undefined, event: SessionEvent): void {
    const wasKnown = this.#isKnown;
    const isSame = current === undefined && this.#current === undefined;
    this.#current = current;
    this.#isKnown = true;
    if (isSame && wasKnown) return;
    for (const listener of [...this.#listeners]) listener({ event, current });
  }
}

/** No session, or one of somebody who is disabled or gone. */
function isNobody(error: unknown): boolean {
  const nobody = [Code.Unauthenticated, Code.PermissionDenied, Code.NotFound];
  return error instanceof ConnectError && nobody.includes(error.code);
}
