import type { Database } from "../db/database.ts";
import type { InvitationService } from "../invitations/service.ts";
import type { MemberService } from "../organizations/member-service.ts";
import type { PasskeyService } from "../passkeys/service.ts";
import type { SessionService } from "../sessions/service.ts";
import type { IdentityService } from "../users/identity-service.ts";
import { findUser } from "../users/store.ts";
import { createOwnRecords, type Exporter, type ExportSource } from "./export.ts";

/** Where what is kept about people is asked for. */
export interface ExportSourceParts {
  readonly database: Pick<Database, "reader">;
  readonly identities: Pick<IdentityService, "list">;
  readonly passkeys: Pick<PasskeyService, "list">;
  readonly sessions: Pick<SessionService, "list">;
  readonly members: Pick<MemberService, "listOwn">;
  readonly invitations: Pick<InvitationService, "listForAddress">;
  /** A user's personal access tokens, without their secrets. */
  readonly listPersonalTokens: (userId: string) => Promise<readonly { readonly userId: string }[]>;
}

/** How many memberships are read at once. */
const membershipsAtOnce = 200;

/** All that is kept about somebody, in the order to tell it. */
export function createExportSources(parts: ExportSourceParts): readonly ExportSource[] {
  const { database, identities, passkeys, sessions, members, invitations } = parts;

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

  return [
    { kind: "profile", read: readProfile },
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
      "personal_token",
      ({ principal }) => parts.listPersonalTokens(principal.id),
      ({ userId: _, ...token }) => token,
    ),
    { kind: "membership", read: readMemberships },
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
