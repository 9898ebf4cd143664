import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Database } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import {
  createMachine,
  MovableClock,
  machineOf,
  openRoom,
  type Room,
  refusalOf,
  root,
} from "./test-support.ts";
import { firstDayOf, toDay, UsageRecorder, usageKeptDays } from "./usage.ts";
import { addCalls } from "./usage-store.ts";

const dayMs = 86_400_000;

describe("days", () => {
  it("are UTC's and count from today", () => {
    const late = new Date("2027-03-01T23:59:59.999Z");
    expect([toDay(late), firstDayOf(1, late), firstDayOf(2, late)]).toEqual([
      "2027-03-01",
      "2027-03-01",
      "2027-02-28",
    ]);
  });
});

describeDatabases("usage", (under) => {
  let room: Room;
  let org: string;
  let ref: { id: string; org: string };

  beforeAll(async () => {
    room = await openRoom(under.database);
  });
  afterAll(() => room.close());
  beforeEach(async () => {
    org = await room.createOrganization();
    ref = { id: (await createMachine(room, org)).id, org };
  });

  async function makeToken(title = "t") {
    const { record, secret } = await room.credentials.createToken(root, ref, { title });
    return { id: record.id, use: () => room.authenticator.authenticateOpaqueToken(secret) };
  }

  it("counts calls by credential and day, and tells unused ones", async () => {
    const busy = await makeToken("busy");
    room.clock.advance(1);
    const idle = await makeToken("idle");
    for (let call = 0; call < 3; call += 1) await busy.use();
    await room.usage.flush();
    room.clock.advance(dayMs);
    await busy.use();
    await room.usage.flush();
    const today = toDay(room.clock.now());
    const yesterday = firstDayOf(2, room.clock.now());
    const days = [
      { day: yesterday, calls: 3 },
      { day: today, calls: 1 },
    ];
    const usage = await room.usages.get(root, ref, 30);
    expect(usage).toEqual({
      days,
      credentials: [
        { credentialId: busy.id, credential: expect.objectContaining({ title: "busy" }), days },
        { credentialId: idle.id, credential: expect.objectContaining({ title: "idle" }), days: [] },
      ],
      lastUsedAt: room.clock.now(),
    });
    expect(usage.credentials[0]?.credential?.lastUsedAt).toEqual(room.clock.now());
    expect(usage.credentials[1]?.credential).not.toHaveProperty("lastUsedAt");
    expect((await room.usages.get(root, ref, 1)).days).toEqual([{ day: today, calls: 1 }]);
    expect((await room.serviceUsers.get(root, ref)).lastUsedAt).toEqual(room.clock.now());
  });

  it("adds up what several processes count", async () => {
    const token = await makeToken();
    const other = new UsageRecorder({ database: under.database, clock: room.clock, log: silentLog });
    for (let call = 0; call < 5; call += 1) {
      other.recordUse(token.id, ref.id, room.clock.now());
      await token.use();
    }
    await Promise.all([other.close(), room.usage.flush()]);
    expect((await room.usages.get(root, ref, 1)).days).toEqual([{ day: toDay(room.clock.now()), calls: 10 }]);
  });

  it("moves the last use at most once a minute", async () => {
    const token = await makeToken();
    const lastUse = async () => {
      await token.use();
      await room.usage.flush();
      const [stored] = await room.credentials.list(root, ref, "token");
      return stored?.lastUsedAt;
    };
    const first = room.clock.now();
    expect(await lastUse()).toEqual(first);
    room.clock.advance(59_999);
    expect(await lastUse()).toEqual(first);
    room.clock.advance(1);
    expect(await lastUse()).toEqual(room.clock.now());
  });

  it("is right again when a clock that ran ahead is set right", async () => {
    const token = await makeToken();
    const now = room.clock.now();
    room.clock.advance(10 * dayMs);
    await token.use();
    await room.usage.flush();
    room.clock.advance(-10 * dayMs);
    expect((await room.usages.get(root, ref, 30)).days).toEqual([]);
    await token.use();
    await room.usage.flush();
    const { days, lastUsedAt } = await room.usages.get(root, ref, 30);
    expect({ days, lastUsedAt }).toEqual({ days: [{ day: toDay(now), calls: 1 }], lastUsedAt: now });
    // Nor does it come to be told later.
    await new UsageRecorder({ database: under.database, clock: room.clock, log: silentLog }).sweep();
    const rows = await under.database.reader.selectFrom("service_user_usage").select("day").execute();
    expect(rows.filter(({ day }) => day > toDay(now))).toEqual([]);
  });

  it("counts no refused proof", async () => {
    const token = await makeToken();
    await room.serviceUsers.setState(root, ref, "disabled");
    await refusalOf(token.use());
    await room.usage.flush();
    await room.serviceUsers.setState(root, ref, "enabled");
    expect((await room.usages.get(root, ref, 1)).days).toEqual([]);
  });

  it("still tells of a deleted credential, and takes counts that come late", async () => {
    const token = await makeToken();
    await token.use();
    await room.credentials.delete(root, { ...ref, credentialId: token.id }, "token");
    await room.usage.flush();
    const { credentials } = await room.usages.get(root, ref, 1);
    expect(credentials).toEqual([
      { credentialId: token.id, days: [{ day: toDay(room.clock.now()), calls: 1 }] },
    ]);
  });

  it("takes counts of a service user that is gone", async () => {
    const [gone, kept] = [await makeToken(), await createMachine(room, org)];
    await gone.use();
    await room.serviceUsers.delete(root, ref);
    room.usage.recordUse(newId(room.clock.now()), kept.id, room.clock.now());
    await room.usage.flush();
    expect((await room.usages.get(root, { id: kept.id, org }, 1)).days).toHaveLength(1);
  });

  it("writes more credentials in one go than a statement takes", async () => {
    for (let number = 0; number < 1201; number += 1) {
      room.usage.recordUse(newId(room.clock.now()), ref.id, room.clock.now());
    }
    await room.usage.flush();
    expect((await room.usages.get(root, ref, 1)).days[0]?.calls).toBe(1201);
  });

  it("is read in its own organization only", async () => {
    const foreign = await room.createOrganization();
    const read = room.usages.get(root, { id: ref.id, org: foreign }, 30);
    expect((await refusalOf(read)).reason).toBe("SERVICE_USER_NOT_FOUND");
    const stranger = room.usages.get(machineOf(foreign, "owner"), ref, 30);
    expect((await refusalOf(stranger)).reason).toBe("NOT_AUTHORIZED");
    await room.usages.get(machineOf(org, "viewer"), ref, 30);
  });

  it("is kept for 90 days", async () => {
    const now = room.clock.now();
    const count = (daysAgo: number) => ({
      credentialId: newId(now),
      serviceUserId: ref.id,
      day: toDay(new Date(now.getTime() - daysAgo * dayMs)),
      calls: 1,
    });
    const old = Array.from({ length: 700 }, () => count(usageKeptDays));
    const kept = count(usageKeptDays - 1);
    await under.database.transaction((tx) => addCalls(tx, [...old, kept]));
    await room.usage.sweep();
    expect(await room.usages.get(root, ref, 400)).toMatchObject({ days: [{ day: kept.day, calls: 1 }] });
  });
});

describe("usage while the database is away", () => {
  const clock = new MovableClock();

  /** A database whose transactions fail until told otherwise; what they would write is not looked at. */
  function createFailing() {
    const state = { isAway: true, attempts: 0 };
    const database = {
      dialect: "sqlite",
      transaction: async () => {
        state.attempts += 1;
        if (state.isAway) throw new DomainError("UNAVAILABLE", { detail: "database: away" });
      },
    } as unknown as Database;
    return { state, database };
  }

  it("keeps no request waiting, and tries again", async () => {
    const { state, database } = createFailing();
    const lines: unknown[] = [];
    const log = {
      ...silentLog,
      warn: (fields: object, message: string) => void lines.push({ ...fields, message }),
    };
    const usage = new UsageRecorder({ database, clock, log, flushDelayMs: 86_400_000 });
    const line = {
      failure: "database: away",
      counts: 1,
      message: "usage could not be written; will try again",
    };
    usage.recordUse("c", "s", clock.now());
    await usage.flush();
    expect(lines).toEqual([line]);
    // Said once, until it is written and fails anew.
    await usage.flush();
    expect(lines).toEqual([line]);
    usage.recordUse("c", "s", clock.now());
    state.isAway = false;
    await usage.flush();
    await usage.flush();
    expect(state.attempts).toBe(3);
    state.isAway = true;
    usage.recordUse("c", "s", clock.now());
    await usage.flush();
    expect(lines).toEqual([line, line]);
    await usage.close();
  });

  it("gives up on closing, once", async () => {
    const { state, database } = createFailing();
    const usage = new UsageRecorder({ database, clock, log: silentLog, flushDelayMs: 86_400_000 });
    usage.recordUse("c", "s", clock.now());
    await usage.close();
    expect(state.attempts).toBe(1);
  });

  it("holds a bounded number of counts, and says what it dropped", async () => {
    const { database } = createFailing();
    const dropped: object[] = [];
    const log = { ...silentLog, warn: (fields: object) => void dropped.push(fields) };
    const usage = new UsageRecorder({ database, clock, log, flushDelayMs: 86_400_000 });
    for (let number = 0; number < 50_010; number += 1) usage.recordUse(`c${number}`, "s", clock.now());
    usage.recordUse("c1", "s", clock.now());
    await usage.flush();
    expect(dropped).toContainEqual({ calls: 10 });
    await usage.close();
  });

  it("writes by itself soon after a use", async () => {
    const { database } = createFailing();
    let tell = () => {};
    const written = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const told = { ...database, transaction: async () => tell() } as unknown as Database;
    const usage = new UsageRecorder({ database: told, clock, log: silentLog, flushDelayMs: 1 });
    usage.recordUse("c", "s", clock.now());
    await written;
    await usage.close();
  });
});
