import { describe, expect, it } from "vitest";
import { createSessionCookies, type SessionCookieOptions } from "./cookie.ts";

const hash = (name: string) => `hash-${name}`.padEnd(32, "-");
const block = (name: string) => `block-${name}`.padEnd(32, "-");

function cookies(options: Partial<SessionCookieOptions> = {}) {
  return createSessionCookies({
    hashKeys: [hash("1")],
    blockKeys: [block("1")],
    host: "id.example.org",
    domain: undefined,
    sameSite: "lax",
    secure: true,
    isBound: false,
    ...options,
  });
}

describe("session cookie value", () => {
  it("holds a secret of 256 bits, never twice the same way, and not in clear", () => {
    const { newSecret, encode, decode } = cookies();
    const secret = newSecret();
    const value = encode(secret);
    expect(secret).toHaveLength(32);
    expect(decode(value)).toEqual(secret);
    expect(encode(secret)).not.toBe(value);
    expect(Buffer.from(value, "base64url").includes(secret)).toBe(false);
    expect(value).toMatch(/^[A-Za-z0-9_-]+$/);
  });

  it.each([
    ["a new hash key", { hashKeys: [hash("2"), hash("1")] }],
    ["a new block key", { blockKeys: [block("2"), block("1")] }],
    ["both", { hashKeys: [hash("3"), hash("2"), hash("1")], blockKeys: [block("2"), block("1")] }],
  ])("is read after a change to %s, with the old one listed", (_, options) => {
    const secret = cookies().newSecret();
    const value = cookies().encode(secret);
    expect(cookies(options).decode(value)).toEqual(secret);
    expect(cookies().decode(cookies(options).encode(secret))).toBeUndefined();
  });

  it.each([
    ["another hash key", { hashKeys: [hash("2")] }],
    ["another block key", { blockKeys: [block("2")] }],
    ["its keys the wrong way round", { hashKeys: [block("1")], blockKeys: [hash("1")] }],
  ])("is not read under %s", (_, options) => {
    const value = cookies().encode(cookies().newSecret());
    expect(cookies(options).decode(value)).toBeUndefined();
  });

  it("is not read with any bit of it turned", () => {
    const { newSecret, encode, decode } = cookies();
    const bytes = Buffer.from(encode(newSecret()), "base64url");
    for (let index = 0; index < bytes.length * 8; index++) {
      const turned = Buffer.from(bytes);
      turned[index >> 3] = (turned[index >> 3] ?? 0) ^ (1 << (index & 7));
      expect(decode(turned.toString("base64url"))).toBeUndefined();
    }
  });

  it.each([
    ["nothing", () => ""],
    ["a cut end", (value: string) => value.slice(0, -1)],
    ["a cut start", (value: string) => value.slice(4)],
    ["something behind", (value: string) => `${value}AAAA`],
    ["padding", (value: string) => `${value}=`],
    ["quotes", (value: string) => `"${value}"`],
    ["percent signs", () => "%00%ff"],
    ["a UUID", () => "019a0000-0000-7000-8000-000000000001"],
    ["much too much", () => "A".repeat(8000)],
  ])("is not read as %s", (_, damage) => {
    const { newSecret, encode, decode } = cookies();
    expect(decode(damage(encode(newSecret())))).toBeUndefined();
  });
});

describe("Set-Cookie", () => {
  const now = new Date("2027-01-01T00:00:00Z");
  const later = new Date("2027-01-01T00:10:00Z");

  const values = { cookie: "v", companion: "c" };
  const until = "Max-Age=600; Expires=Fri, 01 Jan 2027 00:10:00 GMT; Path=/; HttpOnly";
  const over = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly";

  it("says how long and to whom", () => {
    expect(cookies().toSetCookies(values, now, later)).toEqual([`sid=v; ${until}; SameSite=Lax; Secure`]);
  });

  it("follows the settings", () => {
    const set = cookies({ domain: "example.org", sameSite: "strict", secure: false });
    expect(set.toSetCookies(values, now, later)).toEqual([
      `sid=v; ${until}; SameSite=Strict; Domain=example.org`,
    ]);
  });

  it.each(["lax", "strict", "none"] as const)(
    "is set and cleared with its companion, %s alike",
    (sameSite) => {
      const bound = cookies({ sameSite, isBound: true });
      const site = `SameSite=${sameSite.replace(/^./, (letter) => letter.toUpperCase())}; Secure`;
      expect(bound.toSetCookies(values, now, later)).toEqual([
        `sid=v; ${until}; ${site}`,
        `__Host-vestibule-bind=c; ${until}; ${site}`,
      ]);
      expect(bound.toClearCookies()).toEqual([
        `sid=; ${over}; ${site}`,
        `__Host-vestibule-bind=; ${over}; ${site}`,
      ]);
    },
  );

  it.each([
    ["id.example.org", undefined, ["id.example.org", "example.org"]],
    ["id.example.org", "example.org", ["", "id.example.org"]],
    ["localhost", undefined, []],
    ["192.0.2.1", undefined, []],
    ["[::1]", undefined, []],
  ])("clears what is not its own: on %s with domain %s", (host, domain, scopes) => {
    const clear =
      "sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; HttpOnly; SameSite=Lax; Secure";
    expect(cookies({ host, domain }).toClearStrays()).toEqual(
      scopes.map((scope) => (scope === "" ? clear : `${clear}; Domain=${scope}`)),
    );
  });

  it("clears with the attributes it was set with", () => {
    expect(cookies({ domain: "example.org" }).toClearCookies()).toEqual([
      `sid=; ${over}; SameSite=Lax; Secure; Domain=example.org`,
    ]);
  });
});
