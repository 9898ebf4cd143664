import { generateKeyPairSync } from "node:crypto";
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import type { ChangeListener } from "../../changes/feed.ts";
import type { GateIdentity, IdentityTarget } from "../decisions/decision.ts";
import { createMakeIdentityHeaders, rememberIdentityHeaders } from "./identity-headers.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const now = new Date("2026-01-01T00:00:00.500Z");
const seconds = 1_767_225_600;

const make = createMakeIdentityHeaders({
  sign: (typ, claims) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: "ES256", typ }).sign(privateKey),
  issuer: "https://id.example.com",
  clock: { now: () => now },
});

const target: IdentityTarget = {
  host: "app.example.com",
  frontend: { scheme: "https", assertionHeader: "" },
};

const ann: GateIdentity = {
  subject: "019a0000-0000-7000-8000-0000000000aa:ann",
  providerId: "019a0000-0000-7000-8000-0000000000aa",
  email: "ann@example.com",
  name: "Ann Sm\u00edth",
  organizations: ["o1", "o2"],
  groups: ["a,b", "100%"],
};

async function readAssertion(token: string) {
  const options = { typ: "vestibule-gate+jwt", currentDate: now };
  return (await jwtVerify(token, publicKey, options)).payload;
}

it("has every header, and in the assertion the same", async () => {
  const { lines, renewAtMs } = await make(target, ann);
  const [assertion = ""] = lines
    .filter(([name]) => name === "X-Vestibule-Assertion")
    .map(([, value]) => value);
  expect(lines).toEqual([
    ["X-Vestibule-Subject", ann.subject],
    ["X-Vestibule-Email", "ann@example.com"],
    ["X-Vestibule-Name", "Ann Sm%C3%ADth"],
    ["X-Vestibule-Provider", ann.providerId],
    ["X-Vestibule-Organizations", "o1,o2"],
    ["X-Vestibule-Groups", "a%2Cb,100%25"],
    ["X-Vestibule-Assertion", assertion],
  ]);
  expect(await readAssertion(assertion)).toEqual({
    iss: "https://id.example.com",
    aud: "https://app.example.com",
    sub: ann.subject,
    provider: ann.providerId,
    email: "ann@example.com",
    email_verified: true,
    name: ann.name,
    org_ids: ["o1", "o2"],
    groups: ["a,b", "100%"],
    iat: seconds,
    exp: seconds + 60,
  });
  expect(decodeProtectedHeader(assertion).typ).toBe("vestibule-gate+jwt");
  expect(renewAtMs).toBe(now.getTime() + 30_000);
});

it("has every header without an identity too, empty, and an assertion about nobody", async () => {
  const { lines } = await make(target, undefined);
  expect(lines.slice(0, -1)).toEqual(
    ["Subject", "Email", "Name", "Provider", "Organizations", "Groups"].map((name) => [
      `X-Vestibule-${name}`,
      "",
    ]),
  );
  expect(await readAssertion(lines.at(-1)?.[1] ?? "")).toEqual({
    iss: "https://id.example.com",
    aud: "https://app.example.com",
    iat: seconds,
    exp: seconds + 60,
  });
});

it("says nothing of an address that is not there", async () => {
  const { email: _, name: __, ...nameless } = ann;
  const { lines } = await make(target, nameless);
  expect(lines).toContainEqual(["X-Vestibule-Email", ""]);
  const claims = await readAssertion(lines.at(-1)?.[1] ?? "");
  expect(claims).not.toHaveProperty("email");
  expect(claims).not.toHaveProperty("email_verified");
});

it("has the assertion under a second name, for the frontend's own scheme and the host that was asked for", async () => {
  const frontend = { scheme: "http", assertionHeader: "X-JWT-Assertion" } as const;
  const { lines } = await make({ host: "localhost:3000", frontend }, ann);
  const [, assertion = ""] = lines.at(-2) ?? [];
  expect(lines.at(-1)).toEqual(["X-JWT-Assertion", assertion]);
  expect((await readAssertion(assertion)).aud).toBe("http://localhost:3000");
});

it("has an assertion that ends with the credential", async () => {
  const endsAt = new Date(now.getTime() + 10_000);
  const { lines, renewAtMs } = await make({ ...target, endsAt }, ann);
  expect((await readAssertion(lines.at(-1)?.[1] ?? "")).exp).toBe(seconds + 10);
  expect(renewAtMs).toBe(now.getTime() + 5_000);
});

describe("remembered headers", () => {
  let nowMs: number;
  let made: number;
  let isConfirmed: boolean;
  let listener: ChangeListener | undefined;
  beforeEach(() => {
    [nowMs, made, isConfirmed] = [1_000_000, 0, true];
  });

  function remember() {
    return rememberIdentityHeaders(
      async () => {
        made += 1;
        return { lines: [["X-Vestibule-Assertion", String(made)]], renewAtMs: nowMs + 30_000 };
      },
      {
        feed: {
          isConfirmed: () => isConfirmed,
          subscribe: (given) => {
            listener = given;
            return () => {};
          },
        },
        clock: { now: () => new Date(nowMs) },
      },
    );
  }

  it("are the same for who comes again, by whatever token, for half the assertion's life", async () => {
    const makeOnce = remember();
    const first = await makeOnce(target, ann);
    nowMs += 29_999;
    expect(await makeOnce({ ...target, endsAt: new Date(nowMs + 60_000) }, { ...ann })).toBe(first);
    nowMs += 1;
    expect(await makeOnce(target, ann)).not.toBe(first);
  });

  it("are others for another identity, host, scheme or name of the assertion", async () => {
    const makeOnce = remember();
    await makeOnce(target, ann);
    await makeOnce(target, { ...ann, groups: [] });
    await makeOnce(target, undefined);
    await makeOnce({ ...target, host: "other.example.com" }, ann);
    await makeOnce({ ...target, frontend: { ...target.frontend, scheme: "http" } }, ann);
    await makeOnce({ ...target, frontend: { ...target.frontend, assertionHeader: "X-JWT-Assertion" } }, ann);
    expect(made).toBe(6);
  });

  it("are made for itself where the credential ends sooner than an assertion would", async () => {
    const makeOnce = remember();
    await makeOnce(target, ann);
    await makeOnce({ ...target, endsAt: new Date(nowMs + 59_999) }, ann);
    await makeOnce({ ...target, endsAt: new Date(nowMs + 59_999) }, ann);
    expect(made).toBe(3);
  });

  it("are forgotten with the keys that signed them, after a clock that was set back, and while changes are unheard", async () => {
    const makeOnce = remember();
    await makeOnce(target, ann);
    listener?.onChange({ topic: "signing-keys", subject: "all" });
    await makeOnce(target, ann);
    expect(made).toBe(2);
    nowMs -= 3_600_000;
    await makeOnce(target, ann);
    expect(made).toBe(3);
    isConfirmed = false;
    await makeOnce(target, ann);
    expect(made).toBe(4);
  });
});
