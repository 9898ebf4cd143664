import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { newId } from "../lib/ids.ts";
import type { CredentialKind } from "./credential.ts";
import { createMachine, machineOf, openRoom, type Room, reasonsOf, refusalOf, root } from "./test-support.ts";

const kinds: readonly CredentialKind[] = ["secret", "key", "token"];
const publicJwk = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
  format: "jwk",
}) as Record<string, unknown>;
const dayMs = 86_400_000;

describeDatabases("credentials", (under) => {
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
    room.events.length = 0;
    room.changes.length = 0;
  });

  /** Makes a credential of a kind and answers its id. */
  async function make(kind: CredentialKind, expiresAt?: Date, at = ref): Promise<string> {
    const draft = { title: `a ${kind}`, ...(expiresAt && { expiresAt }) };
    if (kind === "secret") return (await room.credentials.createSecret(root, at, draft)).record.id;
    if (kind === "token") return (await room.credentials.createToken(root, at, draft)).record.id;
    return (await room.credentials.createKeyPair(root, at, { ...draft, publicJwk })).record.id;
  }

  async function idsOf(kind: CredentialKind, at = ref): Promise<string[]> {
    return (await room.credentials.list(root, at, kind)).map(({ id }) => id);
  }

  describe.each(kinds)("of kind %s", (kind) => {
    it("several live side by side, oldest first, among their own kind alone", async () => {
      const made = [await make(kind), await make(kind)].sort();
      for (const other of kinds) expect(await idsOf(other)).toEqual(other === kind ? made : []);
    });

    it("is deleted, recorded and told of", async () => {
      const id = await make(kind);
      await room.credentials.delete(root, { ...ref, credentialId: id.toUpperCase() }, kind);
      expect(await idsOf(kind)).toEqual([]);
      const noun = kind === "secret" ? "credential" : kind;
      expect(room.events).toEqual([
        {
          action: `${noun}.create`,
          target: id,
          orgId: org,
          details: { service_user_id: ref.id, title: `a ${kind}` },
        },
        {
          action: `${noun}.delete`,
          target: id,
          orgId: org,
          details: { service_user_id: ref.id, title: `a ${kind}` },
        },
      ]);
      expect(room.changes).toContainEqual({ topic: "credential", subject: id });
      const again = room.credentials.delete(root, { ...ref, credentialId: id }, kind);
      expect((await refusalOf(again)).reason).toBe("CREDENTIAL_NOT_FOUND");
    });

    it("of another service user is not found, and still there", async () => {
      const id = await make(kind);
      const other = { id: (await createMachine(room, org)).id, org };
      const foreign = { ...other, credentialId: id };
      expect((await refusalOf(room.credentials.delete(root, foreign, kind))).reason).toBe(
        "CREDENTIAL_NOT_FOUND",
      );
      expect((await refusalOf(room.credentials.getKeyPair(root, foreign))).reason).toBe(
        "CREDENTIAL_NOT_FOUND",
      );
      const rotation = room.credentials.rotateSecret(root, foreign, { overlapSeconds: 0 });
      expect((await refusalOf(rotation)).reason).toBe("CREDENTIAL_NOT_FOUND");
      expect(await idsOf(kind)).toEqual([id]);
    });

    it("is not found as one of another kind, and still there", async () => {
      const id = await make(kind);
      for (const other of kinds.filter((one) => one !== kind)) {
        const deletion = room.credentials.delete(root, { ...ref, credentialId: id }, other);
        expect((await refusalOf(deletion)).reason).toBe("CREDENTIAL_NOT_FOUND");
      }
      expect(await idsOf(kind)).toEqual([id]);
    });

    it("expires in the future or not at all", async () => {
      const now = room.clock.now();
      expect((await refusalOf(make(kind, now))).reason).toBe("INVALID_REQUEST");
      expect((await refusalOf(make(kind, new Date(now.getTime() - 1)))).reason).toBe("INVALID_REQUEST");
      expect((await refusalOf(make(kind, new Date(Number.NaN)))).reason).toBe("INVALID_REQUEST");
      const soon = new Date(now.getTime() + 1);
      const id = await make(kind, soon);
      const [stored] = await room.credentials.list(root, ref, kind);
      expect(stored).toMatchObject({ id, expiresAt: soon, createdAt: now });
    });

    it("is made by managers, and not for whoever is above them", async () => {
      const draft = { title: "" };
      const create = (role: "viewer" | "manager", at: typeof ref) => {
        const caller = machineOf(org, role);
        if (kind === "secret") return room.credentials.createSecret(caller, at, draft);
        if (kind === "token") return room.credentials.createToken(caller, at, draft);
        return room.credentials.createKeyPair(caller, at, { ...draft, publicJwk });
      };
      const owner = { id: (await createMachine(room, org, "owner")).id, org };
      await create("manager", ref);
      expect((await refusalOf(create("viewer", ref))).reason).toBe("NOT_AUTHORIZED");
      expect((await refusalOf(create("manager", owner))).reason).toBe("NOT_AUTHORIZED");
      expect(await idsOf(kind, owner)).toEqual([]);
      const nobody = { id: newId(room.clock.now()), org };
      expect((await refusalOf(create("manager", nobody))).reason).toBe("SERVICE_USER_NOT_FOUND");
    });

    it("goes with its service user", async () => {
      const id = await make(kind);
      await room.serviceUsers.delete(root, ref);
      const left = await under.database.reader
        .selectFrom("service_user_credentials")
        .select("id")
        .where("id", "=", id)
        .execute();
      expect(left).toEqual([]);
    });
  });

  it("keeps no secret, no token and no private key", async () => {
    const { secret } = await room.credentials.createSecret(root, ref, { title: "" });
    const { secret: token } = await room.credentials.createToken(root, ref, { title: "" });
    const { privateKeyPem = "" } = await room.credentials.createKeyPair(root, ref, { title: "" });
    expect([secret.slice(0, 5), token.slice(0, 5)]).toEqual(["vsts_", "vstt_"]);
    const rows = await under.database.reader
      .selectFrom("service_user_credentials")
      .selectAll()
      .where("service_user_id", "=", ref.id)
      .execute();
    const kept = JSON.stringify([rows, room.events]);
    const { d = "" } = createPrivateKey(privateKeyPem).export({ format: "jwk" });
    expect(d).not.toBe("");
    for (const hidden of [secret, token, privateKeyPem, d]) expect(kept).not.toContain(hidden);
  });

  it("makes RSA key pairs of 2048 bits whose halves belong together", async () => {
    const { record, privateKeyPem = "" } = await room.credentials.createKeyPair(root, ref, { title: "made" });
    expect(privateKeyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    const own = createPublicKey(privateKeyPem);
    expect(own.asymmetricKeyDetails).toEqual({ modulusLength: 2048, publicExponent: 65537n });
    const { n, e } = own.export({ format: "jwk" });
    expect(record.publicJwk).toEqual({ kty: "RSA", alg: "RS256", use: "sig", kid: record.id, n, e });
    expect((await room.credentials.getKeyPair(root, { ...ref, credentialId: record.id })).publicJwk).toEqual(
      record.publicJwk,
    );
  });

  it("refuses a key that is not acceptable and keeps nothing", async () => {
    const jwk = { ...publicJwk, d: publicJwk.x };
    const creation = room.credentials.createKeyPair(root, ref, { title: "", publicJwk: jwk });
    expect((await refusalOf(creation)).reason).toBe("INVALID_REQUEST");
    expect(await idsOf("key")).toEqual([]);
    expect(room.events).toEqual([]);
  });

  describe("rotation", () => {
    it("makes a successor, and lets the old one live on for the overlap", async () => {
      const old = await make("secret");
      const expiresAt = new Date(room.clock.now().getTime() + dayMs);
      const { record, replaced, secret } = await room.credentials.rotateSecret(
        root,
        { ...ref, credentialId: old },
        { overlapSeconds: 60, expiresAt },
      );
      const end = new Date(room.clock.now().getTime() + 60_000);
      expect(replaced).toMatchObject({ id: old, expiresAt: end });
      expect(record).toMatchObject({ title: "a secret", expiresAt, createdAt: room.clock.now() });
      expect(secret).toMatch(/^vsts_/);
      const stored = await room.credentials.list(root, ref, "secret");
      expect(stored.find(({ id }) => id === old)?.expiresAt).toEqual(end);
      expect(stored.find(({ id }) => id === record.id)).toEqual(record);
      expect(room.events.at(-1)).toEqual({
        action: "credential.rotate",
        target: old,
        orgId: org,
        details: {
          service_user_id: ref.id,
          title: "a secret",
          expires_at: end.toISOString(),
          successor_id: record.id,
        },
      });
      expect(room.changes).toContainEqual({ topic: "credential", subject: old });
    });

    it("never lets the old one live longer than it would have", async () => {
      const end = new Date(room.clock.now().getTime() + 5000);
      const credentialId = await make("secret", end);
      const first = await room.credentials.rotateSecret(
        root,
        { ...ref, credentialId },
        { overlapSeconds: 60 },
      );
      expect(first.replaced.expiresAt).toEqual(end);
      room.clock.advance(10_000);
      const second = await room.credentials.rotateSecret(
        root,
        { ...ref, credentialId },
        { overlapSeconds: 60 },
      );
      expect(second.replaced.expiresAt).toEqual(end);
      expect(second.record.expiresAt).toBeUndefined();
    });

    it.each([
      [-1, false],
      [0, true],
      [30 * 86_400, true],
      [30 * 86_400 + 1, false],
      [Number.NaN, false],
    ])("with an overlap of %d seconds: %s", async (overlapSeconds, isAllowed) => {
      const credentialId = await make("secret");
      const rotation = room.credentials.rotateSecret(root, { ...ref, credentialId }, { overlapSeconds });
      if (isAllowed) await rotation;
      else expect((await refusalOf(rotation)).reason).toBe("INVALID_REQUEST");
      expect(await idsOf("secret")).toHaveLength(isAllowed ? 2 : 1);
    });

    it("of two at once makes a successor each, and the shorter overlap holds", async () => {
      for (let round = 0; round < 5; round += 1) {
        const credentialId = await make("secret");
        const rotate = (overlapSeconds: number) =>
          room.credentials.rotateSecret(root, { ...ref, credentialId }, { overlapSeconds });
        const made = await Promise.all([rotate(3600), rotate(60), rotate(7200)]);
        for (const { record, secret } of made) {
          const principal = await room.authenticator.authenticateSecret(record.id, secret);
          expect(principal).toMatchObject({ id: ref.id, credentialId: record.id });
        }
        const old = (await room.credentials.list(root, ref, "secret")).find(({ id }) => id === credentialId);
        expect(old?.expiresAt).toEqual(new Date(room.clock.now().getTime() + 60_000));
      }
    });

    it("of another service user's secret, here or elsewhere, finds nothing and changes nothing", async () => {
      const credentialId = await make("secret");
      const other = await createMachine(room, org);
      const elsewhere = await room.createOrganization();
      const stranger = await createMachine(room, elsewhere, "owner");
      for (const foreign of [
        { id: other.id, org },
        { id: stranger.id, org: elsewhere },
      ]) {
        const rotation = room.credentials.rotateSecret(
          root,
          { ...foreign, credentialId },
          { overlapSeconds: 0 },
        );
        expect((await refusalOf(rotation)).reason).toBe("CREDENTIAL_NOT_FOUND");
      }
      const [stored] = await room.credentials.list(root, ref, "secret");
      expect(stored?.expiresAt).toBeUndefined();
    });

    it("is for secrets alone", async () => {
      for (const kind of ["key", "token"] as const) {
        const credentialId = await make(kind);
        const rotation = room.credentials.rotateSecret(root, { ...ref, credentialId }, { overlapSeconds: 0 });
        expect((await refusalOf(rotation)).reason).toBe("CREDENTIAL_NOT_FOUND");
      }
    });

    it("raced by a deletion leaves the old one deleted, with a successor or without", async () => {
      for (let round = 0; round < 10; round += 1) {
        const credentialId = await make("secret");
        const before = await idsOf("secret");
        const [rotated, deleted] = await Promise.allSettled([
          room.credentials.rotateSecret(root, { ...ref, credentialId }, { overlapSeconds: 60 }),
          room.credentials.delete(root, { ...ref, credentialId }, "secret"),
        ]);
        expect(deleted.status).toBe("fulfilled");
        const left = await idsOf("secret");
        expect(left).not.toContain(credentialId);
        expect(left).toHaveLength(rotated.status === "fulfilled" ? before.length : before.length - 1);
        if (rotated.status === "rejected") expect(rotated.reason.reason).toBe("CREDENTIAL_NOT_FOUND");
      }
    });

    it("raced by the deletion of its service user leaves nothing", async () => {
      const credentialId = await make("secret");
      const [rotated, deleted] = await Promise.allSettled([
        room.credentials.rotateSecret(root, { ...ref, credentialId }, { overlapSeconds: 60 }),
        room.serviceUsers.delete(root, ref),
      ]);
      expect(deleted.status).toBe("fulfilled");
      if (rotated.status === "rejected") expect(rotated.reason.reason).toBe("SERVICE_USER_NOT_FOUND");
      expect((await refusalOf(idsOf("secret"))).reason).toBe("SERVICE_USER_NOT_FOUND");
    });
  });

  describe("with lifetimes of an hour, and of a day at most", () => {
    let bounded: Room;
    const hourMs = 3_600_000;

    beforeAll(async () => {
      const lifetimes = { validitySeconds: 3600, longestValiditySeconds: 86_400 };
      bounded = await openRoom(under.database, { lifetimes });
    });
    afterAll(() => bounded.close());

    const inMs = (ms: number) => new Date(bounded.clock.now().getTime() + ms);

    it.each(kinds)(
      "a %s expires after an hour unless it is told, and after a day at the latest",
      async (kind) => {
        const { credentials } = bounded;
        const create = async (expiresAt?: Date) => {
          const draft = { title: "", ...(expiresAt && { expiresAt }) };
          if (kind === "secret") return (await credentials.createSecret(root, ref, draft)).record;
          if (kind === "token") return (await credentials.createToken(root, ref, draft)).record;
          return (await credentials.createKeyPair(root, ref, { ...draft, publicJwk })).record;
        };
        expect((await create()).expiresAt).toEqual(inMs(hourMs));
        expect((await create(inMs(1))).expiresAt).toEqual(inMs(1));
        expect((await create(inMs(dayMs))).expiresAt).toEqual(inMs(dayMs));
        const before = (await credentials.list(root, ref, kind)).length;
        await expect(create(inMs(dayMs + 1))).rejects.toMatchObject({
          reason: "INVALID_REQUEST",
          violations: [{ field: "expires_at", description: "must be at most 86400 seconds away" }],
        });
        expect(await credentials.list(root, ref, kind)).toHaveLength(before);
      },
    );

    it("a successor does so too", async () => {
      const { record } = await bounded.credentials.createSecret(root, ref, { title: "" });
      const rotate = (expiresAt?: Date) =>
        bounded.credentials.rotateSecret(
          root,
          { ...ref, credentialId: record.id },
          { overlapSeconds: 60, ...(expiresAt && { expiresAt }) },
        );
      expect((await rotate()).record.expiresAt).toEqual(inMs(hourMs));
      expect((await refusalOf(rotate(inMs(dayMs + 1)))).reason).toBe("INVALID_REQUEST");
      expect((await rotate(inMs(dayMs))).replaced.expiresAt).toEqual(inMs(60_000));
    });
  });

  describe("with room for three", () => {
    let small: Room;

    beforeAll(async () => {
      small = await openRoom(under.database, { maxLiveCredentials: 3 });
    });
    afterAll(() => small.close());

    const draft = { title: "" };

    it("refuses a fourth of any kind while three are live", async () => {
      const soon = new Date(small.clock.now().getTime() + 1000);
      const { record } = await small.credentials.createSecret(root, ref, { ...draft, expiresAt: soon });
      await small.credentials.createToken(root, ref, draft);
      await small.credentials.createKeyPair(root, ref, { ...draft, publicJwk });
      const rotation = { ...ref, credentialId: record.id };
      const works = [
        small.credentials.createSecret(root, ref, draft),
        small.credentials.createToken(root, ref, draft),
        small.credentials.createKeyPair(root, ref, { ...draft, publicJwk }),
        small.credentials.rotateSecret(root, rotation, { overlapSeconds: 1 }),
      ];
      expect(new Set(await reasonsOf(works))).toEqual(new Set(["TOO_MANY_CREDENTIALS"]));
      await small.credentials.rotateSecret(root, rotation, { overlapSeconds: 0 });
      expect((await refusalOf(small.credentials.createToken(root, ref, draft))).reason).toBe(
        "TOO_MANY_CREDENTIALS",
      );
    });

    it("holds when several are made at once", async () => {
      const creations = Array.from({ length: 6 }, () => small.credentials.createToken(root, ref, draft));
      const results = await Promise.allSettled(creations);
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    });

    it("forgets expired ones after 90 days, when another is made", async () => {
      const soon = new Date(small.clock.now().getTime() + 1000);
      await small.credentials.createToken(root, ref, { ...draft, expiresAt: soon });
      small.clock.advance(1000 + 90 * dayMs);
      await small.credentials.createToken(root, ref, draft);
      expect(await idsOf("token")).toHaveLength(2);
      small.clock.advance(1);
      await small.credentials.createToken(root, ref, draft);
      expect(await idsOf("token")).toHaveLength(2);
    });
  });
});
