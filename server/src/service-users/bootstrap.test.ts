import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { createEmptyDatabase, type Dialect } from "../../../test/parts/databases.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { migrate } from "../db/migrate.ts";
import { openDatabase } from "../db/open-database.ts";
import { silentLog } from "../lib/log.ts";
import { hashSecret } from "../lib/secrets.ts";
import { BootstrapConflictError, type BootstrapCredential, ensureBootstrap } from "./bootstrap.ts";
import { findCredential, findCredentials, updateCredentialExpiry } from "./credential-store.ts";
import { findSuperuser } from "./store.ts";
import { createMachine, openRoom, type Room, root } from "./test-support.ts";

describe.each<Dialect>(["sqlite", "postgres"])("the bootstrap credential (%s)", (dialect) => {
  let database: OpenDatabase;
  let room: Room;

  beforeAll(async () => {
    const place = await createEmptyDatabase(dialect);
    database = await openDatabase({ url: place.url, log: silentLog });
    await migrate(database);
    room = await openRoom(database);
    return async () => {
      await room.close();
      await database.close();
      await place.drop();
    };
  });

  function start(configured?: BootstrapCredential): Promise<BootstrapCredential | undefined> {
    room.changes.length = 0;
    room.events.length = 0;
    return ensureBootstrap({ database, feed: room.feed, audit: room.audit, clock: room.clock, configured });
  }

  const configured = () => ({ clientId: randomUUID(), clientSecret: `operator's own ${randomUUID()}` });
  const prove = (credential: BootstrapCredential) =>
    room.authenticator.authenticateSecret(credential.clientId, credential.clientSecret);
  const refused = { reason: "NOT_AUTHENTICATED" };

  it("is generated once, whoever starts first", async () => {
    const generated = (await Promise.all([start(), start()])).filter((one) => one !== undefined);
    expect(generated).toHaveLength(1);
    expect(await prove(generated[0] as BootstrapCredential)).toMatchObject({
      superuser: true,
      role: "owner",
    });
    expect(await start()).toBeUndefined();
  });

  it("gives way to a configured one, and that to the next", async () => {
    const [first, second] = [configured(), configured()];
    await start(first);
    await prove(first);
    await start(first);
    expect(room.changes).toEqual([]);
    expect(room.events).toEqual([]);
    await start(second);
    expect(room.events.map(({ action, target }) => [action, target])).toEqual([
      ["credential.delete", first.clientId],
      ["credential.create", second.clientId],
    ]);
    const owned = { service_user_id: expect.any(String), title: "Bootstrap" };
    expect(room.events.map(({ details }) => details)).toEqual([owned, owned]);
    expect(room.changes).toContainEqual({ topic: "credential", subject: first.clientId });
    await expect(prove(first)).rejects.toMatchObject(refused);
    await prove(second);
    await start({ ...second, clientSecret: first.clientSecret });
    await expect(prove(second)).rejects.toMatchObject(refused);
  });

  it("is back in force at the next start after it was rotated away", async () => {
    const credential = configured();
    await start(credential);
    await database.transaction((tx) => updateCredentialExpiry(tx, credential.clientId, room.clock.now()));
    await start(credential);
    const stored = await findCredential(database.reader, credential.clientId);
    expect(stored).toMatchObject({ secretHash: hashSecret(credential.clientSecret), bootstrap: true });
    expect(stored).not.toHaveProperty("expiresAt");
  });

  it("leaves the superuser's other credentials alone", async () => {
    const superuser = await findSuperuser(database.reader);
    const ref = { id: superuser?.id ?? "", org: superuser?.orgId ?? "" };
    const { record } = await room.credentials.createToken(root, ref, { title: "own" });
    await start(configured());
    expect((await findCredentials(database.reader, ref.id, "token")).map(({ id }) => id)).toEqual([
      record.id,
    ]);
  });

  it("is not taken from another service user", async () => {
    const org = await room.createOrganization();
    const ref = { id: (await createMachine(room, org)).id, org };
    const { record, secret } = await room.credentials.createSecret(root, ref, { title: "" });
    await expect(start({ ...configured(), clientId: record.id })).rejects.toThrow(BootstrapConflictError);
    await prove({ clientId: record.id, clientSecret: secret });
  });
});
