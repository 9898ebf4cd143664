import type { Database, Reader } from "../db/database.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { Clock } from "../lib/clock.ts";
import type { MemberService } from "../organizations/member-service.ts";
import { findProjectMemberships } from "../organizations/project-store.ts";
import type { PasskeyService } from "../passkeys/service.ts";
import { findBrowserSights } from "../sessions/known-browser-store.ts";
import type { SessionService } from "../sessions/service.ts";
import type { IdentityService } from "../users/identity-service.ts";
import { findPreferences } from "../users/preference-store.ts";
import { findUser } from "../users/store.ts";
import { findUndos } from "../users/undo-store.ts";
import { createOwnRecords, type Exporter, type ExportSource } from "./export.ts";

/** Where what is kept about people is asked for. */
export interface ExportSourceParts {
  readonly database: Pick<Database, "reader">;
  readonly clock: Clock;
  readonly identities: Pick<IdentityService, "list">;
  readonly passkeys: Pick<PasskeyService, "list">;
  readonly sessions: Pick<SessionService, "list">;
  readonly members: Pick<MemberService, "listOwn">;
  readonly invitations: Pick<InvitationService, "listForAddress">;
  /** A user's personal access tokens, without their secrets. */
  readonly listPersonalTokens: (userId: string) => Promise<readonly { readonly userId: string }[]>;
  /** A user's sessions at custom frontends, without their secrets. */
  readonly readFrontendSessions: (reader: Reader, userId: string, now: Date) => AsyncIterable<object>;
  /** The frontdoors whose owners a user lets know who they are. */
  readonly findConfirmations: (reader: Reader, userId: string) => Promise<readonly object[]>;
}

/** How many memberships are read at once, of organizations or of projects. */
const membershipsAtOnce = 200;

/** All that is kept about somebody, in the order to tell it. */
export function createExportSources(parts: ExportSourceParts): readonly ExportSource[] {
  const { database, clock, identities, passkeys, sessions, members, invitations } = parts;
  const { reader } = database;

  async function* readProfile({ principal }: Exporter) {
    const user = await findUser(database.reader, principal.id);
    if (user === undefined) return;
    const { disabledReason: _, isEmailGiven: _given, ...profile } = user;
    yield profile;
  }

  async function* readMemberships(exporter: Exporter) {
    let token = "";
    do {
      const { items, nextPageToken } = await members.listOwn(exporter, { size: membershipsAtOnce, token });
      for (const { organization, role, createdAt } of items) {
        const { id, name, title } = organization;
        yield { organization: { id, name, title }, role, createdAt };
      }
      token = nextPageToken;
    } while (token !== "");
  }

  async function* readProjects({ principal }: Exporter) {
    for (let afterId = ""; ; ) {
      const found = await findProjectMemberships(
        reader,
        { type: "user", id: principal.id },
        {
          afterId,
          limit: membershipsAtOnce,
        },
      );
      yield* found;
      const last = found.at(-1);
      if (last === undefined || found.length < membershipsAtOnce) return;
      afterId = last.project.id;
    }
  }

  return [
    { kind: "profile", read: readProfile },
    fromList(
      "preference",
      ({ principal }) => findPreferences(reader, principal.id),
      ({ name, value, createdAt, updatedAt }) => ({ name, value, createdAt, updatedAt }),
    ),
    fromList(
      "email_change",
      ({ principal }) => findUndos(reader, principal.id, clock.now()),
      ({ email, changedAt, expiresAt }) => ({ previousEmail: email, changedAt, undoableUntil: expiresAt }),
    ),
    fromList(
      "identity",
      (exporter) => identities.list(exporter),
      ({ userId: _, gaveEmail: _gave, ...identity }) => identity,
    ),
    fromList(
      "passkey",
      (exporter) => passkeys.list(exporter),
      ({ id, name, isSynced, createdAt, lastUsedAt }) => ({ id, name, isSynced, createdAt, lastUsedAt }),
    ),
    fromList(
      "session",
      (exporter) => sessions.list(exporter),
      ({ userId: _, ...session }) => session,
    ),
    fromList(
      "known_browser",
      ({ principal }) => findBrowserSights(reader, principal.id, clock.now()),
      (lastSignInAt) => ({ lastSignInAt }),
    ),
    {
      kind: "frontend_session",
      read: ({ principal }) => parts.readFrontendSessions(reader, principal.id, clock.now()),
    },
    fromList(
      "frontdoor_confirmation",
      ({ principal }) => parts.findConfirmations(reader, principal.id),
      (confirmation) => confirmation,
    ),
    fromList(
      "personal_token",
      ({ principal }) => parts.listPersonalTokens(principal.id),
      ({ userId: _, ...token }) => token,
    ),
    { kind: "membership", read: readMemberships },
    { kind: "project_membership", read: readProjects },
    fromList(
      "invitation",
      (exporter) => invitations.listForAddress(exporter),
      ({ id, organization, email, role, invitedBy, createdAt, expiresAt }) => ({
        id,
        organization: { id: organization.id, name: organization.name, title: organization.title },
        email,
        role,
        invitedBy,
        createdAt,
        expiresAt,
      }),
    ),
    createOwnRecords(database),
  ];
}

/** A source of which somebody has few. */
function fromList<T>(
  kind: string,
  list: (exporter: Exporter) => Promise<readonly T[]>,
  toItem: (one: T) => object,
): ExportSource {
  async function* read(exporter: Exporter) {
    for (const one of await list(exporter)) yield toItem(one);
  }
  return { kind, read };
}
