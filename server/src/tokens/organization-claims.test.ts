import { randomBytes } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { createSealer } from "../encryption/sealer.ts";
import type { OrganizationClaims } from "../principals/claims.ts";
import type { Role } from "../principals/principal.ts";
import { toPublicJwk, toThumbprint } from "../signatures/public-jwk.ts";
import { generateSigningKeyPair } from "../signatures/signing.ts";
import { createAccessTokens } from "./access-token.ts";
import { signingKeyPlace } from "./key-rotation.ts";
import { createTokenSigner, type Keyring, toSnapshot } from "./keyring.ts";
import {
  fitOrganizations,
  type HeldOrganization,
  longestToken,
  type OrganizationClaimRules,
  prepareOrganizations,
} from "./organization-claims.ts";

const rules = { addOrgIds: true, addOrganizations: true };

/** So many organizations, of which `name` says what they are called. */
function hold(count: number, name = (index: number) => `org-${index}`): HeldOrganization[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `01900000-0000-7000-8000-${String(index).padStart(12, "0")}`,
    name: name(index),
    role: "manager" as Role,
  }));
}

const prepare = (enabled: readonly HeldOrganization[]) =>
  prepareOrganizations({ enabled, disabledIds: [], isComplete: true });

function fit(held: readonly HeldOrganization[], bytes: number, change: Partial<OrganizationClaimRules> = {}) {
  return fitOrganizations(prepare(held), { ...rules, ...change }, bytes);
}

const countIds = ({ org_ids = "" }: OrganizationClaims) => (org_ids === "" ? 0 : org_ids.split(",").length);

describe("claims about organizations", () => {
  it("name each by its id, with what it is called and the role in it", () => {
    const [held] = hold(1);
    expect(fit(hold(1), 4096)).toEqual({
      org_ids: held?.id,
      organizations: { [held?.id ?? ""]: { name: "org-0", roles: ["manager"] } },
    });
    expect(fit([], 4096)).toEqual({ org_ids: "", organizations: {} });
  });

  it("are those that are wanted", () => {
    expect(Object.keys(fit(hold(2), 4096, { addOrganizations: false }))).toEqual(["org_ids"]);
    expect(Object.keys(fit(hold(2), 4096, { addOrgIds: false }))).toEqual(["organizations"]);
    expect(fit(hold(2), 4096, { addOrgIds: false, addOrganizations: false })).toEqual({});
    expect(fit(hold(200), 4096, { addOrgIds: false })).toEqual({});
  });

  it("tell of names and roles within 2560 bytes, and of ids alone beyond them", () => {
    const long = "n".repeat(63);
    const most = hold(19, () => long);
    expect(JSON.stringify(fit(most, 1e6).organizations).length).toBeLessThanOrEqual(2560);
    expect(
      fit(
        hold(20, () => long),
        1e6,
      ),
    ).toEqual({ org_ids: expect.any(String) });
    const exact = prepare(most).describedBytes;
    const padded = hold(19, (index) => (index === 0 ? "n".repeat(63 + 2560 - exact) : long));
    expect(fit(padded, 1e6).organizations).toBeDefined();
    const over = hold(19, (index) => (index === 0 ? "n".repeat(64 + 2560 - exact) : long));
    expect(fit(over, 1e6).organizations).toBeUndefined();
  });

  it("count bytes and not characters, whatever the script", () => {
    const names = ["株式会社アクメ", "شركة", "Ωμέγα", "🚀🚀", 'a"b\\c', "\u2028\u0000", "e\u0301"];
    const held = hold(names.length, (index) => names[index] ?? "");
    const { describedBytes } = prepare(held);
    const json = JSON.stringify(fit(held, 1e6).organizations);
    expect(describedBytes).toBe(Buffer.byteLength(json));
    expect(describedBytes).toBeGreaterThan(json.length);
  });

  it("name a hundred ids at most, the foremost, and say that there are more", () => {
    expect(countIds(fit(hold(100), 1e6))).toBe(100);
    expect(fit(hold(100), 1e6).org_ids_truncated).toBeUndefined();
    const more = fit(hold(101), 1e6);
    expect([countIds(more), more.org_ids_truncated, more.organizations]).toEqual([100, true, undefined]);
  });

  it("take up what room there is, and never a byte more", () => {
    for (const count of [0, 1, 2, 3, 10, 20, 99, 100, 101, 300]) {
      const held = hold(count);
      const all = Buffer.byteLength(JSON.stringify({ a: 0, ...fit(held, 1e6) })) - `{"a":0}`.length;
      for (const bytes of [-5, 0, 12, 38, 39, 49, 50, 75, 76, 77, 500, 2560, all - 1, all, all + 1]) {
        const claims = fit(held, bytes);
        const used = Buffer.byteLength(JSON.stringify({ a: 0, ...claims })) - `{"a":0}`.length;
        const least = `,"org_ids":"","org_ids_truncated":true`.length;
        expect(used, `${count} in ${bytes}`).toBeLessThanOrEqual(Math.max(bytes, least));
        expect(claims.org_ids ?? "").toMatch(/^$|^[0-9a-f-]{36}(,[0-9a-f-]{36})*$/);
        expect(countIds(claims) < count).toBe(claims.org_ids_truncated === true);
        if (bytes >= all) expect(claims).toEqual(fit(held, 1e6));
      }
    }
  });
});

describe.each(["ES256", "RS256", "EdDSA"] as const)("a token signed by %s", (algorithm) => {
  const now = new Date("2026-01-01T00:00:00Z");
  let keyring: Pick<Keyring, "get" | "peek">;
  beforeAll(async () => {
    const sealer = createSealer([randomBytes(32)]);
    const { privateKey, publicKey } = await generateSigningKeyPair(algorithm);
    const publicJwk = toPublicJwk(publicKey, await toThumbprint(publicKey));
    const der = privateKey.export({ type: "pkcs8", format: "der" });
    const sealedPrivateKey = sealer.seal(signingKeyPlace(publicJwk.kid), der);
    const { kid } = publicJwk;
    const key = { kid, algorithm, publicJwk, sealedPrivateKey, createdAt: now, signsFromAt: now };
    const snapshot = toSnapshot([key], sealer, now);
    keyring = { get: async () => snapshot, peek: () => snapshot };
  });

  it.each([
    ["an address", "ada@example.org"],
    ["the longest address, of three bytes a character", `${"語".repeat(64)}@${"語".repeat(255)}`],
  ])("with %s has at most 4096 characters, and uses them", async (_, email) => {
    const tokens = createAccessTokens({
      keyring,
      sign: createTokenSigner(keyring),
      clock: { now: () => now },
      issuer: "https://id.example.org",
      audience: "https://id.example.org",
      validitySeconds: 3600,
      clockSkewSeconds: 60,
      isRevoked: () => false,
    });
    const session = "01900000-0000-7000-8000-000000000001";
    const subject = {
      sub: session,
      client_id: session,
      sub_type: "app/user",
      auth_via: "session",
      credential_id: session,
      email,
      email_verified: true,
      sid: session,
      session_id: session,
    } as const;
    const described: number[] = [];
    for (let count = 0; count <= 110; count++) {
      const prepared = prepare(hold(count, (index) => `${index}`.padStart(60, "n")));
      const fitIn = (bytes: number) => fitOrganizations(prepared, rules, bytes);
      const { token } = await tokens.issue(subject, { fit: fitIn });
      expect(token.length, `${count} organizations`).toBeLessThanOrEqual(longestToken);
      const claims = await tokens.verify(token);
      if (claims.organizations !== undefined) described.push(count);
      if (claims.org_ids_truncated) {
        // Another id would not have fitted: 37 bytes are 50 characters.
        expect(token.length).toBeGreaterThan(longestToken - 52);
        expect(countIds(claims)).toBeLessThan(count);
      } else expect(countIds(claims)).toBe(count);
    }
    expect(described[0]).toBe(0);
    expect(described).toEqual(Array.from(described.keys()));
  });
});
