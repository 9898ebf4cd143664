import { beforeAll, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { readTableShapes } from "../db/table-shapes.ts";
import { insertFrontdoor } from "../frontdoor/frontdoors/store.ts";
import { confirm } from "../gate/sessions/confirmation-store.ts";
import { findConfirmations, readFrontendSessions } from "../gate/sessions/of-people.ts";
import { newId } from "../lib/ids.ts";
import { insertProject, insertProjectMember } from "../organizations/project-store.ts";
import { insertOrganization } from "../organizations/store.ts";
import { upsertKnownBrowser } from "../sessions/known-browser-store.ts";
import { savePreference } from "../users/preference-store.ts";
import { insertUndo } from "../users/undo-store.ts";
import type { Exporter } from "./export.ts";
import { createExportSources } from "./export-sources.ts";

/** Every table that says of its rows whose they are, and what an export calls them. */
const kinds: Readonly<Record<string, string>> = {
  email_undos: "email_change",
  gate_confirmations: "frontdoor_confirmation",
  identities: "identity",
  known_browsers: "known_browser",
  memberships: "membership",
  passkeys: "passkey",
  personal_tokens: "personal_token",
  sessions: "session",
  user_preferences: "preference",
};

describeDatabases("what is kept about somebody", (under) => {
  const now = new Date();
  const clock = { now: () => now };
  const later = new Date(now.getTime() + 60_000);
  const [ada, bob] = [newId(now), newId(now)];
  const none = { list: async () => [] };
  const sources = () =>
    createExportSources({
      database: under.database,
      clock,
      identities: none,
      passkeys: none,
      sessions: none,
      members: { listOwn: async () => ({ items: [], nextPageToken: "", totalSize: 0 }) },
      invitations: { listForAddress: async () => [] },
      listPersonalTokens: async () => [],
      readFrontendSessions,
      findConfirmations,
    });

  async function read(id: string, kind: string): Promise<object[]> {
    const source = sources().find((each) => each.kind === kind);
    if (source === undefined) throw new Error(`nothing is told of ${kind}`);
    const found: object[] = [];
    for await (const item of source.read({ principal: { id } } as Exporter)) found.push(item);
    return found;
  }

  const org = {
    id: newId(now),
    name: "acme",
    title: "",
    metadata: {},
    avatar: "",
    state: "enabled",
  } as const;
  const dates = { createdAt: now, updatedAt: now };
  const frontdoor = { id: newId(now), orgId: org.id, name: "front", ...dates };
  const project = {
    id: newId(now),
    orgId: org.id,
    name: "shop",
    title: "Shop",
    metadata: {},
    membersCount: 0,
    ...dates,
  };

  /** One thing of each kind, of which the other person has one as well. */
  async function fill(userId: string): Promise<void> {
    await under.database.transaction(async (tx) => {
      await savePreference(tx, { id: newId(now), userId, name: "theme", value: userId, ...dates });
      const undo = {
        id: newId(now),
        userId,
        email: `${userId}@example.org`,
        changedAt: now,
        expiresAt: later,
      };
      await insertUndo(tx, undo, `secret hash of ${userId}`);
      await upsertKnownBrowser(tx, userId, `secret hash of ${userId}`, now);
      await confirm(tx, { userId, frontdoorId: frontdoor.id }, now);
      await insertProjectMember(tx, project.id, { type: "user", id: userId }, now);
    });
  }

  beforeAll(async () => {
    await under.database.transaction(async (tx) => {
      for (const id of [ada, bob]) {
        const email = `${id}@example.org`;
        const texts = {
          name: id,
          email,
          passkey_handle: id,
          title: "",
          avatar: "",
          metadata: "{}",
          state: "enabled",
        };
        const row = { id, ...texts, email_proven: 1, created_at: now.getTime(), updated_at: now.getTime() };
        await tx
          .insertInto("users")
          .values(row as never)
          .execute();
      }
      await insertOrganization(tx, { ...org, ...dates });
      await insertFrontdoor(tx, frontdoor);
      await insertProject(tx, project);
    });
    for (const id of [ada, bob]) await fill(id);
  });

  it("is told of every table that says whose its rows are", async () => {
    const shapes = await readTableShapes(under.database.reader);
    const tables = shapes.filter(({ columns }) => columns.some(({ name }) => name === "user_id"));
    expect(tables.map(({ name }) => name).toSorted()).toEqual(Object.keys(kinds));
    expect(sources().map(({ kind }) => kind)).toEqual(expect.arrayContaining(Object.values(kinds)));
  });

  it("is theirs alone, and without a secret", async () => {
    expect(await read(ada, "preference")).toEqual([{ name: "theme", value: ada, ...dates }]);
    expect(await read(ada, "email_change")).toEqual([
      { previousEmail: `${ada}@example.org`, changedAt: now, undoableUntil: later },
    ]);
    expect(await read(ada, "known_browser")).toEqual([{ lastSignInAt: now }]);
    expect(await read(ada, "frontdoor_confirmation")).toEqual([
      { frontdoorId: frontdoor.id, createdAt: now },
    ]);
    const { id, orgId, name, title } = project;
    expect(await read(ada, "project_membership")).toEqual([
      { project: { id, orgId, name, title }, createdAt: now },
    ]);
  });
});
