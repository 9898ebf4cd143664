import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { findUserByEmail, markEmailProven } from "../users/store.ts";
import { browsersPerUser, deleteForgottenBrowsers, knownForMs } from "./known-browser-store.ts";
import { KnownBrowsers } from "./known-browsers.ts";
import { addUser, newRequestInfo, openSessions, type SessionParts, unknownDevice } from "./test-support.ts";

let nowMs = Date.UTC(2027, 0, 1);
const clock = { now: () => new Date(nowMs) };
const newKey = () => randomBytes(32).toString("base64url");

function browsers(given: { secure?: boolean; crossSite?: boolean } = {}): KnownBrowsers {
  return new KnownBrowsers({ clock, secure: true, crossSite: false, findUserByEmail, ...given });
}

describe("the cookie of known browsers", () => {
  const keys = (cookie: string, from = browsers()) => from.readKeys(new Headers({ cookie }));

  it("lasts for 180 days, is out of scripts' reach, and belongs to this very host by https", () => {
    const key = newKey();
    expect(browsers().toSetCookie(key)).toBe(
      `__Host-vestibule_device=${key}; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax; Secure`,
    );
    expect(browsers({ secure: false }).toSetCookie(key)).toBe(
      `vestibule_device=${key}; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax`,
    );
    expect(browsers({ crossSite: true }).toSetCookie(key)).toContain("SameSite=None; Secure");
  });

  it("counts under its own name alone: a neighbour's does not by https", () => {
    const key = newKey();
    expect(keys(`__Host-vestibule_device=${key}`)).toEqual([key]);
    expect(keys(`vestibule_device=${key}`)).toEqual([]);
    expect(keys(`vestibule_device=${key}`, browsers({ secure: false }))).toEqual([key]);
  });

  it.each(["", "x", "A".repeat(42), "A".repeat(44), `${"A".repeat(42)}!`, `"${"A".repeat(43)}"`])(
    "is overlooked where it is %j",
    (value) => expect(keys(`__Host-vestibule_device=${value}`)).toEqual([]),
  );

  it("is read a few times at most, however many there are", () => {
    const many = Array.from({ length: 50 }, newKey);
    const cookie = many.map((key) => `vestibule_device=${key}`).join("; ");
    expect(keys(cookie, browsers({ secure: false }))).toEqual(many.slice(0, 4));
  });
});

describeDatabases("known browsers", (under) => {
  let parts: SessionParts;
  beforeAll(async () => {
    parts = await openSessions(under.database, clock);
  });
  afterAll(() => parts.close());

  const remember = (userId: string, keys: readonly string[] = []) =>
    under.database.transaction((tx) => parts.knownBrowsers.remember(tx, userId, keys));
  const isKnown = async (email: string, ...keys: string[]) =>
    (await parts.knownBrowsers.find(under.database.reader, email, keys)) !== undefined;

  async function signIn(userId: string, browserKeys: readonly string[] = []) {
    const session = { userId, strategy: "mailotp", device: unknownDevice, browserKeys, replaces: [] };
    const { browserKey, cookie } = await under.database.transaction((tx) =>
      parts.sessions.begin(tx, session),
    );
    const principal = await parts.authenticator.authenticateCookie(cookie);
    return { browserKey, caller: { principal, request: newRequestInfo() } };
  }

  it("are known to the accounts that they signed in to, by one key, and to no others", async () => {
    const [ada, carl, dora] = [
      await addUser(under.database),
      await addUser(under.database),
      await addUser(under.database),
    ];
    const key = await remember(ada.id);
    expect(Buffer.from(key, "base64url")).toHaveLength(32);
    expect(await remember(carl.id, [key])).toBe(key);
    expect([await isKnown(ada.email, key), await isKnown(carl.email, key)]).toEqual([true, true]);
    expect(await isKnown(dora.email, key)).toBe(false);
    expect(await isKnown("nobody@example.org", key)).toBe(false);
    expect(await isKnown(ada.email)).toBe(false);
    expect(await isKnown(ada.email, newKey(), key)).toBe(true);
    const rows = await under.database.reader.selectFrom("known_browsers").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(key);
    const hashes = rows.filter(({ user_id }) => [ada.id, carl.id].includes(user_id));
    expect(new Set(hashes.map(({ key_hash }) => key_hash)).size).toBe(2);
  });

  it("of an account whose address nobody has proven are strangers to its mailbox until somebody does", async () => {
    const eve = await addUser(under.database, { emailProven: false });
    // Each sign-in, as by a provider, could be in another browser, with a budget of its own.
    const keys = [await remember(eve.id), await remember(eve.id)];
    expect(await isKnown(eve.email, ...keys)).toBe(false);
    await under.database.transaction((tx) => markEmailProven(tx, eve.id, clock.now()));
    expect(await isKnown(eve.email, ...keys)).toBe(true);
  });

  it("are forgotten 180 days after their last sign-in, and removed", async () => {
    const ada = await addUser(under.database);
    const key = await remember(ada.id);
    const begunAtMs = nowMs;
    nowMs += knownForMs - 1;
    expect(await isKnown(ada.email, key)).toBe(true);
    await remember(ada.id, [key]);
    nowMs = begunAtMs + 2 * knownForMs - 2;
    expect(await isKnown(ada.email, key)).toBe(true);
    nowMs += 1;
    expect(await isKnown(ada.email, key)).toBe(false);
    const sweep = () => under.database.transaction((tx) => deleteForgottenBrowsers(tx, clock.now(), 1000));
    expect(await sweep()).toBeGreaterThan(0);
    expect(await sweep()).toBe(0);
  });

  it("are twenty at most: the longest unseen goes", async () => {
    const ada = await addUser(under.database);
    const keys: string[] = [];
    for (let made = 0; made < browsersPerUser; made++) {
      nowMs += 1;
      keys.push(await remember(ada.id));
    }
    const [first = "", second = ""] = keys;
    await remember(ada.id, [first]);
    expect(await isKnown(ada.email, second)).toBe(true);
    nowMs += 1;
    const newest = await remember(ada.id);
    expect(await isKnown(ada.email, second)).toBe(false);
    for (const key of [newest, ...keys.filter((each) => each !== second)]) {
      expect(await isKnown(ada.email, key)).toBe(true);
    }
  });

  it.each([true, false])(
    "end with all sessions, but for the asking one (keep_current: %s)",
    async (keepCurrent) => {
      const [ada, carl] = [await addUser(under.database), await addUser(under.database)];
      const asking = await signIn(ada.id);
      const other = await signIn(ada.id);
      await signIn(carl.id, [other.browserKey]);
      await parts.sessions.revokeAll(asking.caller, keepCurrent, [asking.browserKey]);
      expect(await isKnown(ada.email, asking.browserKey)).toBe(true);
      expect(await isKnown(ada.email, other.browserKey)).toBe(false);
      expect(await isKnown(carl.email, other.browserKey)).toBe(true);
    },
  );

  it("stay known where a session alone ends, and end with the account's by anybody else", async () => {
    const ada = await addUser(under.database);
    const { browserKey, caller } = await signIn(ada.id);
    await parts.sessions.signOut(caller);
    expect(await isKnown(ada.email, browserKey)).toBe(true);
    await under.database.transaction((tx) => parts.sessions.endAll(tx, ada.id));
    expect(await isKnown(ada.email, browserKey)).toBe(false);
  });
});
