/** What is here as records: all of one kind, as of one moment, some at a time. */
import { countRows } from "../db/carried-rows.ts";
import type { Reader } from "../db/database.ts";
import {
  findManyOrganizations,
  listMembersAfter,
  listOrganizationsAfter,
} from "../organizations/many-store.ts";
import { listKeysOf, listServiceUsersAfter } from "../service-users/many-store.ts";
import { findManyUsers, listIdentitiesAfter, listUsersAfter } from "../users/many-store.ts";
import type { User } from "../users/user.ts";
import { writeHeader, writeRecord } from "./csv.ts";
import type { Kind } from "./records.ts";

/** How records are written. */
export type ExportFormat = "jsonl" | "csv";

/** How many are read at once. */
const perPage = 500;

type Written = Readonly<Record<string, unknown>>;

/** The members of a record that say something. */
function toWritten(members: Written): Written {
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined && value !== ""),
  );
}

/** Of pictures, those that are elsewhere: one that is kept here is at no address of its own. */
function toAvatar(avatar: string): string | undefined {
  return avatar.startsWith("https://") ? avatar : undefined;
}

/** Pages of rows, each after the last row of the one before. */
async function* inPages<Start, Row extends Start>(
  start: Start,
  read: (after: Start) => Promise<readonly Row[]>,
): AsyncGenerator<readonly Row[]> {
  let after = start;
  for (;;) {
    const rows = await read(after);
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < perPage) return;
    after = last;
  }
}

async function* listOrganizations(reader: Reader): AsyncGenerator<readonly Written[]> {
  for await (const page of inPages({ id: "" }, ({ id }) => listOrganizationsAfter(reader, id, perPage))) {
    yield page.map(({ id, name, title, metadata, avatar, state, createdAt }) => {
      const created_at = createdAt.toISOString();
      return { id, name, title, metadata, avatar: toAvatar(avatar), state, created_at };
    });
  }
}

/** Of an address that a superuser gave and nobody has proven, nothing is said. */
function toVerified({ isEmailGiven, emailProven }: User): boolean | undefined {
  return isEmailGiven ? undefined : emailProven;
}

async function* listPeople(reader: Reader): AsyncGenerator<readonly Written[]> {
  for await (const page of inPages({ id: "" }, ({ id }) => listUsersAfter(reader, id, perPage))) {
    yield page.map((user) => ({
      id: user.id,
      email: user.email,
      email_verified: toVerified(user),
      name: user.name,
      title: user.title,
      metadata: user.metadata,
      avatar: toAvatar(user.avatar),
      state: user.state,
      created_at: user.createdAt.toISOString(),
    }));
  }
}

async function* listIdentities(reader: Reader): AsyncGenerator<readonly Written[]> {
  const none = { issuer: "", subject: "" };
  for await (const page of inPages(none, (after) => listIdentitiesAfter(reader, after, perPage))) {
    const users = await findManyUsers(
      reader,
      "id",
      page.map(({ userId }) => userId),
    );
    yield page.map(({ userId, strategy, issuer, subject, email, createdAt }) => {
      const user = users.get(userId);
      return {
        user_id: userId,
        user_email: user?.email,
        user_email_verified: user && toVerified(user),
        provider: strategy,
        issuer,
        subject,
        email,
        created_at: createdAt.toISOString(),
      };
    });
  }
}

async function* listMembers(reader: Reader): AsyncGenerator<readonly Written[]> {
  const none = { orgId: "", userId: "" };
  for await (const page of inPages(none, (after) => listMembersAfter(reader, after, perPage))) {
    yield page.map(({ orgId, orgName, userId, email, role, createdAt }) => ({
      org_id: orgId,
      org_name: orgName,
      user_id: userId,
      user_email: email,
      role,
      created_at: createdAt.toISOString(),
    }));
  }
}

async function* listServiceUsers(reader: Reader): AsyncGenerator<readonly Written[]> {
  for await (const page of inPages({ id: "" }, ({ id }) => listServiceUsersAfter(reader, id, perPage))) {
    const ids = page.map(({ id }) => id);
    const keys = Map.groupBy(await listKeysOf(reader, ids), ({ serviceUserId }) => serviceUserId);
    const orgs = await findManyOrganizations(
      reader,
      "id",
      page.map(({ orgId }) => orgId),
    );
    yield page.map(({ id, orgId, title, metadata, role, state, createdAt }) => ({
      id,
      org_id: orgId,
      org_name: orgs.get(orgId)?.name,
      title,
      metadata,
      role,
      state,
      keys: keys.get(id)?.map((key) =>
        toWritten({
          id: key.id,
          title: key.title,
          public_jwk: key.publicJwk,
          created_at: key.createdAt.toISOString(),
          expires_at: key.expiresAt?.toISOString(),
        }),
      ),
      created_at: createdAt.toISOString(),
    }));
  }
}

const lists: Readonly<Record<Kind, (reader: Reader) => AsyncGenerator<readonly Written[]>>> = {
  organizations: listOrganizations,
  people: listPeople,
  identities: listIdentities,
  members: listMembers,
  "service-users": listServiceUsers,
};

const tables = {
  organizations: "organizations",
  people: "users",
  identities: "identities",
  members: "memberships",
  "service-users": "service_users",
} as const satisfies Record<Kind, string>;

/** About how many records there are. */
export async function countRecords(reader: Reader, kind: Kind): Promise<number> {
  return await countRows(reader, [{ name: tables[kind], columns: [], key: [] }]);
}

/**
 * All records of a kind as text, some hundred at a time. No secret is in them.
 *
 * @param onRecords hears how many are written by now
 */
export async function* exportRecords(
  reader: Reader,
  kind: Kind,
  format: ExportFormat,
  onRecords: (written: number) => void,
): AsyncGenerator<string> {
  if (format === "csv") yield writeHeader(kind);
  let written = 0;
  for await (const page of lists[kind](reader)) {
    const lines = page.map((record) =>
      format === "csv" ? writeRecord(kind, toWritten(record)) : `${JSON.stringify(toWritten(record))}\n`,
    );
    yield lines.join("");
    written += page.length;
    onRecords(written);
  }
}
