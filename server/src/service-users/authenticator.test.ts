import { generateKeyPairSync } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { newId } from "../lib/ids.ts";
import { newSecret } from "../lib/secrets.ts";
import type { AuthVia } from "../principals/principal.ts";
import type { ServiceUserAuthenticator } from "./authenticator.ts";
import type { CredentialKind } from "./credential.ts";
import { createMachine, openRoom, type Room, reasonsOf, refusalOf, root } from "./test-support.ts";

const publicJwk = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }) as Record<
  string,
  unknown
>;

/** A live credential with what proves it. */
interface Made {
  readonly kind: CredentialKind;
  readonly id: string;
  readonly serviceUserId: string;
  readonly secret: string;
}

/** A way in: how it proves what was made, and what the principal then says. */
interface Way {
  readonly name: string;
  readonly kind: CredentialKind;
  readonly authVia: AuthVia;
  readonly credentialKind: string;
  prove(authenticator: ServiceUserAuthenticator, made: Made): Promise<unknown>;
}

const secretWay: Way = {
  name: "a client secret",
  kind: "secret",
  authVia: "client_credentials",
  credentialKind: "client_secret",
  prove: (authenticator, { id, secret }) => authenticator.authenticateSecret(id, secret),
};
const bearerWay: Way = {
  name: "an opaque token",
  kind: "token",
  authVia: "opaque_token",
  credentialKind: "opaque_token",
  prove: (authenticator, { secret }) => authenticator.authenticateOpaqueToken(secret),
};
const keyWay: Way = {
  name: "a key pair",
  kind: "key",
  authVia: "jwt_bearer",
  credentialKind: "key_pair",
  prove: async (authenticator, { id }) => {
    const key = await authenticator.findAssertionKey(id);
    if (key === undefined) return await authenticator.authenticateSecret(id, "no such key");
    return await authenticator.authenticateKey(key, "jwt_bearer");
  },
};

/** Access tokens made from each kind. */
const tokenWays = (["secret", "token", "key"] as const).map(
  (kind): Way => ({
    name: `an access token from a ${kind}`,
    kind,
    authVia: "client_credentials",
    credentialKind: "access_token",
    prove: async (authenticator, { id, serviceUserId }) =>
      authenticator.authenticateTokenSubject({
        id: serviceUserId,
        credentialId: id,
        authVia: "client_credentials",
        tokenId: "jti",
        issuedAt: new Date(),
      }),
  }),
);

const ways: readonly Way[] = [
  secretWay,
  bearerWay,
  {
    ...bearerWay,
    name: "an opaque token as password of its own id",
    prove: (authenticator, { id, secret }) => authenticator.authenticateSecret(id, secret),
  },
  {
    ...bearerWay,
    name: "an opaque token as password of its service user",
    prove: (authenticator, { serviceUserId, secret }) =>
      authenticator.authenticateSecret(serviceUserId, secret),
  },
  keyWay,
  ...tokenWays,
];

describeDatabases("proofs of service users", (under) => {
  let room: Room;
  let org: string;
  let ref: { id: string; org: string };

  beforeAll(async () => {
    room = await openRoom(under.database);
  });
  afterAll(() => room.close());
  beforeEach(async () => {
    org = await room.createOrganization();
    ref = { id: (await createMachine(room, org, "manager")).id, org };
  });

  async function make(kind: CredentialKind, expiresAt?: Date): Promise<Made> {
    const draft = { title: 'the "one"', ...(expiresAt && { expiresAt }) };
    const made = (record: { id: string }, secret = "") => ({
      kind,
      id: record.id,
      serviceUserId: ref.id,
      secret,
    });
    if (kind === "secret") {
      const { record, secret } = await room.credentials.createSecret(root, ref, draft);
      return made(record, secret);
    }
    if (kind === "token") {
      const { record, secret } = await room.credentials.createToken(root, ref, draft);
      return made(record, secret);
    }
    return made((await room.credentials.createKeyPair(root, ref, { ...draft, publicJwk })).record);
  }

  describe.each(ways)("$name", (way) => {
    const prove = (made: Made) => way.prove(room.authenticator, made);

    it("proves its service user, warm and cold", async () => {
      const made = await make(way.kind);
      const expected = {
        type: "serviceuser",
        id: ref.id,
        orgId: org,
        role: "manager",
        superuser: false,
        credentialId: made.id,
        authVia: way.authVia,
        credentialKind: way.credentialKind,
      };
      for (const _ of ["cold", "warm"]) expect(await prove(made)).toMatchObject(expected);
    });

    it("is refused from its expiry on", async () => {
      const expiresAt = new Date(room.clock.now().getTime() + 1000);
      const made = await make(way.kind, expiresAt);
      expect(await prove(made)).toMatchObject({ credentialExpiresAt: expiresAt });
      room.clock.advance(999);
      await prove(made);
      room.clock.advance(1);
      const { reason, detail } = await refusalOf(prove(made));
      expect(reason).toBe("NOT_AUTHENTICATED");
      expect(detail).toContain(`expired at ${expiresAt.toISOString()}`);
      expect(detail).toContain(`${made.id} "the \\"one\\"" of service user ${ref.id}`);
    });

    it("is refused once it is deleted, though it was warm", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.credentials.delete(root, { ...ref, credentialId: made.id }, way.kind);
      expect((await refusalOf(prove(made))).reason).toBe("NOT_AUTHENTICATED");
    });

    it("is refused while its service user is disabled", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.serviceUsers.setState(root, ref, "disabled");
      expect((await refusalOf(prove(made))).reason).toBe("PRINCIPAL_DISABLED");
      await room.serviceUsers.setState(root, ref, "enabled");
      await prove(made);
    });

    it("is refused while its organization is disabled", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.setOrganizationState(org, "disabled");
      expect((await refusalOf(prove(made))).reason).toBe("ORGANIZATION_DISABLED");
      await room.setOrganizationState(org, "enabled");
      await prove(made);
    });

    it("is refused once its service user is deleted", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.serviceUsers.delete(root, ref);
      const expected = way.credentialKind === "access_token" ? "USER_NOT_FOUND" : "NOT_AUTHENTICATED";
      expect((await refusalOf(prove(made))).reason).toBe(expected);
    });

    it("is refused once its organization is deleted, though it was warm", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.deleteOrganization(org);
      const expected = way.credentialKind === "access_token" ? "USER_NOT_FOUND" : "NOT_AUTHENTICATED";
      for (const _ of ["warm", "cold"]) expect((await refusalOf(prove(made))).reason).toBe(expected);
    });

    it("is refused where it is unknown", async () => {
      const made = { ...(await make(way.kind)), id: newId(room.clock.now()), secret: newSecret("vstt") };
      expect((await refusalOf(prove(made))).reason).toBe("NOT_AUTHENTICATED");
    });

    it("takes on a new role at once", async () => {
      const made = await make(way.kind);
      await prove(made);
      await room.serviceUsers.update(root, ref, { role: "viewer" });
      expect(await prove(made)).toMatchObject({ role: "viewer" });
    });
  });

  it.each([
    ["wrong", () => newSecret("vsts"), /^wrong secret: client secret/],
    ["another's token", () => newSecret("vstt"), /^unknown opaque token/],
    [
      "mistyped",
      (secret: string) => `${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`,
      /^mistyped secret/,
    ],
    ["cut", (secret: string) => secret.slice(0, -1), /^mistyped secret/],
    ["empty", () => "", /^wrong secret/],
    ["in another case", (secret: string) => secret.toUpperCase(), /^wrong secret/],
  ])("refuses a secret that is %s, told apart for its owner alone", async (_, change, detail) => {
    const made = await make("secret");
    for (const state of ["cold", "warm"]) {
      const refusal = await refusalOf(room.authenticator.authenticateSecret(made.id, change(made.secret)));
      expect({ state, ...refusal }).toEqual({
        state,
        reason: "NOT_AUTHENTICATED",
        detail: expect.stringMatching(detail),
      });
      await room.authenticator.authenticateSecret(made.id, made.secret);
    }
  });

  it("names the owner of a refused credential, for the audit", async () => {
    const made = await make("secret");
    const refused = room.authenticator.authenticateSecret(made.id, newSecret("vsts"));
    const owner = { type: "serviceuser", id: ref.id, orgId: org, credentialId: made.id };
    await expect(refused).rejects.toMatchObject({ owner });
  });

  it("takes ids in any case, and nothing that is no id", async () => {
    const made = await make("secret");
    await room.authenticator.authenticateSecret(made.id.toUpperCase(), made.secret);
    for (const id of ["", "x", `${made.id} `, ref.id, `{${made.id}}`]) {
      const refused = room.authenticator.authenticateSecret(id, made.secret);
      expect((await refusalOf(refused)).reason).toBe("NOT_AUTHENTICATED");
    }
  });

  it("refuses an opaque token under a foreign id", async () => {
    const made = await make("token");
    const other = await make("token");
    for (const id of [other.id, newId(room.clock.now()), (await createMachine(room, org)).id]) {
      const refused = await refusalOf(room.authenticator.authenticateSecret(id, made.secret));
      expect(refused.reason).toBe("NOT_AUTHENTICATED");
      expect(refused.detail).toMatch(/^presented under a foreign id: opaque token/);
    }
  });

  it("takes no credential for one of another kind", async () => {
    const [secret, token, key] = [await make("secret"), await make("token"), await make("key")];
    const { authenticator } = room;
    const works = [
      authenticator.authenticateOpaqueToken(secret.secret),
      authenticator.authenticateSecret(token.id, secret.secret),
      authenticator.authenticateSecret(key.id, secret.secret),
      authenticator.authenticateKey({ serviceUserId: ref.id, credentialId: secret.id }, "jwt_bearer"),
      authenticator.authenticateKey(
        { serviceUserId: newId(room.clock.now()), credentialId: key.id },
        "jwt_bearer",
      ),
    ];
    expect(new Set(await reasonsOf(works))).toEqual(new Set(["NOT_AUTHENTICATED"]));
    expect(await authenticator.findAssertionKey(secret.id)).toBeUndefined();
    expect(await authenticator.findAssertionKey("not an id")).toBeUndefined();
  });

  it("refuses a token whose credential is another service user's", async () => {
    const made = await make("secret");
    const other = await createMachine(room, org);
    const subject = {
      id: other.id,
      credentialId: made.id,
      authVia: "jwt_bearer",
      tokenId: "j",
      issuedAt: new Date(),
    } as const;
    const refused = Promise.resolve(room.authenticator.authenticateTokenSubject(subject));
    expect((await refusalOf(refused)).reason).toBe("NOT_AUTHENTICATED");
  });

  it("reads once for an unknown id and once for a wrong secret; mistyped tokens are not looked up", async () => {
    const made = await make("secret");
    const readsOf = async (work: () => Promise<unknown>) => {
      const before = room.reads();
      await refusalOf(work());
      return room.reads() - before;
    };
    const { authenticator } = room;
    const unknown = () => authenticator.authenticateSecret(newId(room.clock.now()), newSecret("vsts"));
    const wrong = () => authenticator.authenticateSecret(made.id, newSecret("vsts"));
    expect([await readsOf(unknown), await readsOf(wrong), await readsOf(wrong)]).toEqual([1, 1, 1]);
    const token = newSecret("vstt");
    expect(await readsOf(() => authenticator.authenticateOpaqueToken(token))).toBe(1);
    expect(await readsOf(() => authenticator.authenticateOpaqueToken(`${token}A`))).toBe(0);
  });

  it("reads nothing for a proof that is warm", async () => {
    const secret = await make("secret");
    const token = await make("token");
    const proveBoth = async () => {
      await secretWay.prove(room.authenticator, secret);
      await bearerWay.prove(room.authenticator, token);
    };
    await proveBoth();
    const before = room.reads();
    await proveBoth();
    expect(room.reads()).toBe(before);
  });

  it("hands out keys pinned to their algorithm", async () => {
    const made = await make("key");
    const key = await room.authenticator.findAssertionKey(made.id);
    expect(key).toMatchObject({
      credentialId: made.id,
      serviceUserId: ref.id,
      orgId: org,
      algorithm: "EdDSA",
    });
    expect(key?.publicKey.type).toBe("public");
    expect((await room.authenticator.findAssertionKey(made.id))?.publicKey).toBe(key?.publicKey);
  });

  it("honours a rotation's overlap to the millisecond, for tokens too", async () => {
    const made = await make("secret");
    const subject = tokenWays[0] as Way;
    await secretWay.prove(room.authenticator, made);
    const { record, secret } = await room.credentials.rotateSecret(
      root,
      { ...ref, credentialId: made.id },
      { overlapSeconds: 60 },
    );
    const successor = { ...made, id: record.id, secret };
    room.clock.advance(59_999);
    for (const one of [made, successor]) await secretWay.prove(room.authenticator, one);
    await subject.prove(room.authenticator, made);
    room.clock.advance(1);
    expect((await refusalOf(secretWay.prove(room.authenticator, made))).reason).toBe("NOT_AUTHENTICATED");
    expect((await refusalOf(subject.prove(room.authenticator, made))).reason).toBe("NOT_AUTHENTICATED");
    await secretWay.prove(room.authenticator, successor);
  });

  it("ends the old one at once with an overlap of 0", async () => {
    const made = await make("secret");
    await secretWay.prove(room.authenticator, made);
    await room.credentials.rotateSecret(root, { ...ref, credentialId: made.id }, { overlapSeconds: 0 });
    expect((await refusalOf(secretWay.prove(room.authenticator, made))).reason).toBe("NOT_AUTHENTICATED");
  });
});
