import { beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { createSealer } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { createKeyRotation, publishAheadSeconds, rotationSeconds, signingKeyPlace } from "./key-rotation.ts";
import { toSnapshot } from "./keyring.ts";
import { findSigner, toSigningKeyState } from "./signing-key.ts";
import { deleteSigningKey, findSigningKeys } from "./store.ts";

const startAt = new Date("2026-01-01T00:00:00Z");
const longestTokenSeconds = 3660;
const sealer = createSealer([Buffer.alloc(32, "key")]);

/** A clock that stands still until it is moved. */
function createTestClock(): Clock & { passSeconds(seconds: number): void } {
  let nowMs = startAt.getTime();
  return {
    now: () => new Date(nowMs),
    passSeconds: (seconds) => {
      nowMs += seconds * 1000;
    },
  };
}

function addSeconds(instant: Date, seconds: number): Date {
  return new Date(instant.getTime() + seconds * 1000);
}

describeDatabases("key rotation", (under) => {
  let clock: ReturnType<typeof createTestClock>;
  let changes: Change[];
  let recorded: string[];

  beforeEach(async () => {
    clock = createTestClock();
    changes = [];
    recorded = [];
    const stored = await findSigningKeys(under.database.reader);
    await under.database.transaction(async (tx) => {
      for (const { kid } of stored) await deleteSigningKey(tx, kid);
    });
  });

  function createRotation(
    options: { algorithm?: SigningAlgorithm; longest?: number; database?: OpenDatabase } = {},
  ) {
    const { algorithm = "ES256", longest = longestTokenSeconds, database = under.database } = options;
    const feed = new ChangeFeed({ database, log: silentLog, clock });
    feed.subscribe({ onChange: (change) => void changes.push(change), onReset: () => {} });
    return createKeyRotation({
      database,
      feed,
      sealer,
      clock,
      audit: {
        recordOwn: async (_tx, agent, { action, target }) =>
          void recorded.push(`${agent} ${action} ${target}`),
      },
      agent: "server",
      algorithm,
      longestTokenSeconds: longest,
    });
  }

  it("records what becomes of each key", async () => {
    const rotation = createRotation();
    await rotation.maintain();
    const [first] = await readKeys();
    await rotation.rotate({ now: false });
    await rotation.rotate({ now: true });
    const second = (await readKeys()).find(({ kid }) => kid !== first?.kid);
    await rotation.revoke(second?.kid ?? "");
    const third = (await readKeys()).find(({ kid }) => kid !== first?.kid);
    clock.passSeconds(longestTokenSeconds + publishAheadSeconds);
    await rotation.maintain();
    expect(recorded).toEqual([
      `server signing_key.create ${first?.kid}`,
      `server signing_key.create ${second?.kid}`,
      `server signing_key.hasten ${second?.kid}`,
      `server signing_key.revoke ${second?.kid}`,
      `server signing_key.create ${third?.kid}`,
      `server signing_key.delete ${first?.kid}`,
    ]);
  });

  const readKeys = () => findSigningKeys(under.database.reader);
  const readStates = async () => {
    const keys = await readKeys();
    return keys.map((key) => toSigningKeyState(key, keys, clock.now()));
  };
  const readSigner = async () => findSigner(await readKeys(), clock.now())?.kid;

  describe("maintain", () => {
    it("makes the first key, which signs at once, and is then done", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [key, ...others] = await readKeys();
      expect(others).toEqual([]);
      expect(key).toMatchObject({ algorithm: "ES256", createdAt: startAt, signsFromAt: startAt });
      expect(key?.retiresAt).toBeUndefined();
      expect(key?.publicJwk).toMatchObject({ kty: "EC", crv: "P-256", use: "sig", kid: key?.kid });
      expect(key?.publicJwk).not.toHaveProperty("d");
      expect(
        sealer.open(signingKeyPlace(key?.kid ?? ""), key?.sealedPrivateKey ?? "").length,
      ).toBeGreaterThan(100);
      expect(changes).toEqual([{ topic: "signing-keys", subject: "all" }]);

      await rotation.maintain();
      expect(await readKeys()).toEqual([key]);
      expect(changes).toHaveLength(1);
    });

    it("publishes a successor so that it signs 30 days after the first, and not a second before", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      clock.passSeconds(rotationSeconds - publishAheadSeconds - 1);
      await rotation.maintain();
      expect(await readStates()).toEqual(["signing"]);

      clock.passSeconds(1);
      await rotation.maintain();
      expect(await readStates()).toEqual(["signing", "published"]);
      const [, successor] = await readKeys();
      expect(successor?.signsFromAt).toEqual(addSeconds(startAt, rotationSeconds));
      await rotation.maintain();
      expect(await readKeys()).toHaveLength(2);
    });

    it("publishes 15 minutes ahead even when it is late", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      clock.passSeconds(3 * rotationSeconds);
      await rotation.maintain();
      const [first, successor] = await readKeys();
      expect(successor?.signsFromAt).toEqual(addSeconds(clock.now(), publishAheadSeconds));
      expect(await readSigner()).toBe(first?.kid);
    });

    it("removes a key when its last token has expired, and not a second before", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      clock.passSeconds(1);
      const { kid } = await rotation.rotate({ now: true });
      clock.passSeconds(longestTokenSeconds - 1);
      await rotation.maintain();
      expect(await readStates()).toEqual(["verifying", "signing"]);
      clock.passSeconds(1);
      expect(await readStates()).toEqual(["retired", "signing"]);
      await rotation.maintain();
      expect((await readKeys()).map((key) => key.kid)).toEqual([kid]);
    });

    it("publishes a key of another algorithm as soon as that is configured", async () => {
      await createRotation().maintain();
      for (const algorithm of ["RS256", "EdDSA"] as const) {
        const before = await readSigner();
        await createRotation({ algorithm }).maintain();
        const keys = await readKeys();
        expect(keys.at(-1)).toMatchObject({ algorithm });
        expect(keys.at(-1)?.signsFromAt).toEqual(addSeconds(clock.now(), publishAheadSeconds));
        expect(await readSigner()).toBe(before);
        clock.passSeconds(publishAheadSeconds);
        expect(await readSigner()).toBe(keys.at(-1)?.kid);
      }
    });

    it("stays safe while two processes are configured with different algorithms, and settles after", async () => {
      const rotations = [createRotation(), createRotation({ algorithm: "EdDSA" })];
      /** No key signs whose tokens would outlive it. */
      const checkSigner = async () => {
        const signer = findSigner(await readKeys(), clock.now());
        const neededUntil = addSeconds(clock.now(), longestTokenSeconds);
        expect(signer).toBeDefined();
        expect((signer?.retiresAt ?? neededUntil) >= neededUntil).toBe(true);
      };
      for (let minute = 0; minute < 120; minute += 1) {
        for (const rotation of rotations) await rotation.maintain();
        await checkSigner();
        clock.passSeconds(60);
      }
      expect((await readKeys()).length).toBeLessThan(12);
      for (let minute = 0; minute < 120; minute += 1) {
        await rotations[1]?.maintain();
        await checkSigner();
        clock.passSeconds(60);
      }
      expect(await readKeys()).toMatchObject([{ algorithm: "EdDSA" }]);
      expect((await readKeys())[0]?.retiresAt).toBeUndefined();
    });

    it("keeps an old key longer when tokens come to live longer", async () => {
      await createRotation().maintain();
      clock.passSeconds(1);
      await createRotation().rotate({ now: true });
      await createRotation({ longest: 2 * longestTokenSeconds }).maintain();
      const [old] = await readKeys();
      expect(old?.retiresAt).toEqual(addSeconds(clock.now(), 2 * longestTokenSeconds));
      // Tokens of the longer life are still out there.
      await createRotation().maintain();
      expect((await readKeys())[0]?.retiresAt).toEqual(old?.retiresAt);
    });

    it("makes one first key of two that start together", async () => {
      const other = await under.openAnother();
      const rotations = [createRotation(), createRotation({ database: other })];
      await Promise.all(rotations.map((rotation) => rotation.maintain()));
      expect(await readKeys()).toHaveLength(1);
    });
  });

  it("shows when keys change over: when that is due, and when the successor that waits will sign", async () => {
    const rotation = createRotation();
    const scheduleNow = async () =>
      toSnapshot(await findSigningKeys(under.database.reader), sealer, clock.now()).findSchedule(clock.now());
    await rotation.maintain();
    const dueAt = addSeconds(startAt, rotationSeconds);
    expect(await scheduleNow()).toEqual({ signsFromAt: startAt, nextSignsFromAt: dueAt });
    await rotation.rotate({ now: false });
    const successorAt = addSeconds(startAt, publishAheadSeconds);
    clock.passSeconds(publishAheadSeconds - 1);
    expect(await scheduleNow()).toEqual({ signsFromAt: startAt, nextSignsFromAt: successorAt });
    clock.passSeconds(1);
    const nextAt = addSeconds(successorAt, rotationSeconds);
    expect(await scheduleNow()).toEqual({ signsFromAt: successorAt, nextSignsFromAt: nextAt });
  });

  describe("rotate", () => {
    it("publishes a successor that signs 15 minutes later, by the clock alone", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [first] = await readKeys();
      const successor = await rotation.rotate({ now: false });
      expect(successor.signsFromAt).toEqual(addSeconds(startAt, publishAheadSeconds));
      expect((await readKeys())[0]?.retiresAt).toEqual(
        addSeconds(startAt, publishAheadSeconds + longestTokenSeconds),
      );
      clock.passSeconds(publishAheadSeconds - 1);
      expect(await readSigner()).toBe(first?.kid);
      clock.passSeconds(1);
      expect(await readSigner()).toBe(successor.kid);
      expect(await readStates()).toEqual(["verifying", "signing"]);
    });

    it("makes no second successor while one waits, but can hasten it", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const first = await rotation.rotate({ now: false });
      clock.passSeconds(60);
      const second = await rotation.rotate({ now: false });
      expect(second).toMatchObject({ kid: first.kid, signsFromAt: first.signsFromAt });
      const hastened = await rotation.rotate({ now: true });
      expect(hastened).toMatchObject({ kid: first.kid, signsFromAt: clock.now() });
      expect(await readSigner()).toBe(first.kid);
      expect(await readKeys()).toHaveLength(2);
      expect((await readKeys()).map(({ retiresAt }) => retiresAt !== undefined)).toEqual([true, false]);
    });

    it("never lets the old key retire before its last token, however the successor was hastened", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      await rotation.rotate({ now: false });
      clock.passSeconds(600);
      await rotation.rotate({ now: true });
      const [old] = await readKeys();
      expect(old?.retiresAt?.getTime()).toBeGreaterThanOrEqual(
        addSeconds(clock.now(), longestTokenSeconds).getTime(),
      );
    });

    it("of two at once makes one successor", async () => {
      const rotation = createRotation();
      const other = createRotation({ database: await under.openAnother() });
      await rotation.maintain();
      const made = await Promise.all([
        rotation.rotate({ now: false }),
        other.rotate({ now: false }),
        rotation.rotate({ now: false }),
      ]);
      expect(new Set(made.map(({ kid }) => kid)).size).toBe(1);
      expect(await readStates()).toEqual(["signing", "published"]);
    });

    it("without any key makes one that signs at once", async () => {
      const made = await createRotation().rotate({ now: false });
      expect(made.signsFromAt).toEqual(startAt);
      expect(await readStates()).toEqual(["signing"]);
    });
  });

  describe("revoke", () => {
    it("of an unknown key changes nothing", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const before = await readKeys();
      expect(await rotation.revoke("unknown")).toBe(false);
      expect(await readKeys()).toEqual(before);
    });

    it("of the key that signs hands over to a new one at once", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [stolen] = await readKeys();
      expect(await rotation.revoke(stolen?.kid ?? "")).toBe(true);
      const keys = await readKeys();
      expect(keys).toHaveLength(1);
      expect(keys[0]?.kid).not.toBe(stolen?.kid);
      expect(await readStates()).toEqual(["signing"]);
    });

    it("of the key that signs hands over to the successor that waits", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [stolen] = await readKeys();
      const { kid } = await rotation.rotate({ now: false });
      await rotation.revoke(stolen?.kid ?? "");
      expect((await readKeys()).map((key) => key.kid)).toEqual([kid]);
      expect(await readStates()).toEqual(["signing"]);
    });

    it("of the key that signs never puts an old one back to work", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [old] = await readKeys();
      clock.passSeconds(10);
      const { kid: stolen } = await rotation.rotate({ now: true });
      clock.passSeconds(100);
      await rotation.revoke(stolen);
      const signer = await readSigner();
      expect([old?.kid, stolen]).not.toContain(signer);
      expect(await readStates()).toEqual(["verifying", "signing"]);
      // And the old one still goes when its last token has.
      expect((await readKeys())[0]?.retiresAt).toEqual(addSeconds(startAt, 10 + longestTokenSeconds));
      clock.passSeconds(longestTokenSeconds);
      await rotation.maintain();
      expect((await readKeys()).map((key) => key.kid)).toEqual([signer]);
    });

    it("of the key that signs leaves no process without a signer, be its clock a minute behind", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const behind = () => addSeconds(clock.now(), -60);
      const first = findSigner(await readKeys(), behind());
      expect(first).toBeDefined();
      clock.passSeconds(3600);
      const { kid: stolen } = await rotation.rotate({ now: true });
      clock.passSeconds(1);
      await rotation.revoke(stolen);
      const signer = await readSigner();
      expect(signer).not.toBe(first?.kid);
      expect(findSigner(await readKeys(), behind())?.kid).toBe(signer);
    });

    it("of a successor that waits publishes another one ahead, and the signer goes on until then", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const first = await readSigner();
      const { kid: stolen } = await rotation.rotate({ now: false });
      clock.passSeconds(600);
      await rotation.revoke(stolen);
      expect(await readStates()).toEqual(["signing", "published"]);
      expect(await readSigner()).toBe(first);
      const [, successor] = await readKeys();
      expect(successor?.kid).not.toBe(stolen);
      expect(successor?.signsFromAt).toEqual(addSeconds(clock.now(), publishAheadSeconds));
      // The signer signs for longer than was foreseen, so it verifies for longer too.
      await rotation.maintain();
      expect((await readKeys())[0]?.retiresAt).toEqual(
        addSeconds(clock.now(), publishAheadSeconds + longestTokenSeconds),
      );
    });

    it("of an old key takes it out of use for verifying alone", async () => {
      const rotation = createRotation();
      await rotation.maintain();
      const [old] = await readKeys();
      clock.passSeconds(1);
      const { kid } = await rotation.rotate({ now: true });
      await rotation.revoke(old?.kid ?? "");
      expect((await readKeys()).map((key) => key.kid)).toEqual([kid]);
      expect(await readStates()).toEqual(["signing"]);
    });

    it("raced with a rotation leaves one key that signs", async () => {
      const rotation = createRotation();
      const other = createRotation({ database: await under.openAnother() });
      await rotation.maintain();
      const stolen = (await readSigner()) ?? "";
      await Promise.all([rotation.revoke(stolen), other.rotate({ now: true }), other.revoke(stolen)]);
      const keys = await readKeys();
      expect(keys.map((key) => key.kid)).not.toContain(stolen);
      expect(keys.filter((key) => key.retiresAt === undefined)).toHaveLength(1);
      expect(await readSigner()).toBeDefined();
    });
  });

  it("tells every process of each change", async () => {
    const rotation = createRotation();
    await rotation.maintain();
    const { kid } = await rotation.rotate({ now: true });
    await rotation.revoke(kid);
    expect(changes).toEqual(Array(3).fill({ topic: "signing-keys", subject: "all" }));
  });
});
