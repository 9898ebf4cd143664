/** Who is signed in: asked, kept, pinged, told to other tabs, and over. */
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import { createClock } from "../src/surroundings.ts";
import { createVestibuleWebIn, type VestibuleWeb, type VestibuleWebOptions } from "../src/vestibule-web.ts";
import { FakePage, FakeServer, settle, type TabSet, unauthenticated } from "./support.ts";

const minuteMs = 60_000;
let server: FakeServer;
let tabs: TabSet;
let page: FakePage;
let vestibule: VestibuleWeb;
let events: string[];

function open(on: FakePage, options: Partial<VestibuleWebOptions> = {}): VestibuleWeb {
  return createVestibuleWebIn(on, { baseUrl: "https://auth.example/in/", fetch: server.fetch, ...options });
}

function follow({ session }: VestibuleWeb): string[] {
  const heard: string[] = [];
  session.onChange(({ event, current }) => void heard.push(`${event} ${current?.id ?? "nobody"}`));
  return heard;
}

beforeEach(() => {
  server = new FakeServer();
  tabs = new Map();
  page = new FakePage(tabs);
  // The fake routes have no prefix.
  vestibule = open(page, { baseUrl: "https://auth.example" });
  events = follow(vestibule);
});

const unavailable = () => {
  throw new ConnectError("down", Code.Unavailable);
};

describe("asking", () => {
  it("sends nothing before it is asked", async () => {
    await page.advance(60 * minuteMs);
    expect(server.calls).toEqual([]);
    expect(vestibule.session).toMatchObject({ current: undefined, isKnown: false });
  });

  it("finds nobody", async () => {
    expect(await vestibule.session.refresh()).toBeUndefined();
    expect(vestibule.session.isKnown).toBe(true);
    expect(events).toEqual(["found nobody"]);
    await vestibule.session.refresh();
    expect(events).toHaveLength(1);
  });

  it("finds who it is, and until when, once for all who ask", async () => {
    server.signIn("s1");
    const [found, same] = await Promise.all([vestibule.session.refresh(), vestibule.session.refresh()]);
    expect(found).toBe(same);
    expect(found).toMatchObject({ id: "s1", user: { email: "s1@example.org" } });
    expect(found?.expiresAt.toISOString()).toBe("2026-12-22T12:00:00.000Z");
    expect(found?.signedInAt.toISOString()).toBe("2026-11-22T12:00:00.000Z");
    expect(vestibule.session.current).toBe(found);
    expect(server.countOf("GetCurrentUser")).toBe(1);
    await vestibule.session.refresh();
    expect(events).toEqual(["found s1", "updated s1"]);
  });

  it("keeps what it knows when the server cannot be asked", async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
    server.next.set("GetCurrentUser", unavailable);
    await expect(vestibule.session.refresh()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(vestibule.session.current?.id).toBe("s1");
  });

  it("takes a disabled person for nobody", async () => {
    server.signIn("s1");
    server.next.set("GetCurrentUser", () => {
      throw new ConnectError("not authorized", Code.PermissionDenied);
    });
    expect(await vestibule.session.refresh()).toBeUndefined();
  });

  it("believes a sign-out over an answer that was on its way", async () => {
    server.signIn("s1");
    const { promise, resolve } = Promise.withResolvers<void>();
    server.next.set("ListSessions", () => promise);
    const asking = vestibule.session.refresh();
    await settle();
    await vestibule.signOut();
    resolve();
    expect(await asking).toBeUndefined();
    expect(vestibule.session.current).toBeUndefined();
  });

  it("stops telling who no longer listens", async () => {
    const heard: string[] = [];
    const stop = vestibule.session.onChange(({ event }) => void heard.push(event));
    stop();
    await vestibule.session.refresh();
    expect(heard).toEqual([]);
  });
});

describe("renewal", () => {
  beforeEach(async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
    server.calls = [];
  });

  it("pings every ten minutes", async () => {
    await page.advance(10 * minuteMs - 1);
    expect(server.calls).toEqual([]);
    await page.advance(1);
    expect(server.calls).toEqual(["PingUserSession"]);
    await page.advance(20 * minuteMs);
    expect(server.calls).toHaveLength(3);
  });

  it("pings nothing while nobody looks, and at once when it was due", async () => {
    page.show(false);
    expect(page.timers).toBe(0);
    await page.advance(60 * minuteMs);
    expect(server.calls).toEqual([]);
    page.show(true);
    await page.advance(0);
    expect(server.calls).toEqual(["PingUserSession"]);
  });

  it("does not ping early for a page that is looked at again", async () => {
    page.show(false);
    await page.advance(9 * minuteMs);
    page.show(true);
    await page.advance(minuteMs - 1);
    expect(server.calls).toEqual([]);
    await page.advance(1);
    expect(server.calls).toHaveLength(1);
  });

  it("tries a ping that failed again in a minute, and keeps the session", async () => {
    server.next.set("PingUserSession", unavailable);
    await page.advance(10 * minuteMs);
    await page.advance(minuteMs - 1);
    expect(server.calls).toHaveLength(1);
    await page.advance(1);
    expect(server.calls).toHaveLength(2);
    expect(vestibule.session.current?.id).toBe("s1");
    await page.advance(9 * minuteMs);
    expect(server.calls).toHaveLength(2);
  });

  it("learns from a ping that the session was ended", async () => {
    server.session = undefined;
    await page.advance(10 * minuteMs);
    expect(events).toEqual(["found s1", "ended nobody"]);
    await page.advance(60 * minuteMs);
    expect(server.countOf("PingUserSession")).toBe(1);
    expect(page.timers).toBe(0);
  });

  it("learns the same from any other call", async () => {
    server.session = undefined;
    await expect(vestibule.auth.listSessions({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    await settle();
    expect(events.at(-1)).toBe("ended nobody");
  });

  it("stops when it is closed", async () => {
    vestibule.close();
    expect(page.timers).toBe(0);
    await page.advance(60 * minuteMs);
    expect(server.calls).toEqual([]);
  });
});

describe("expiry", () => {
  it("is asked about at its time, and is one", async () => {
    server.signIn("s1", 5 * minuteMs);
    await vestibule.session.refresh();
    await page.advance(5 * minuteMs - 1);
    expect(server.countOf("GetCurrentUser")).toBe(1);
    server.session = undefined;
    await page.advance(1);
    expect(events).toEqual(["found s1", "expired nobody"]);
  });

  it("is for the server to say, whose clock may be behind, and is not asked about again and again", async () => {
    server.signIn("s1", 5 * minuteMs);
    page.wallOffsetMs = 2 * minuteMs;
    await vestibule.session.refresh();
    await page.advance(3 * minuteMs);
    expect(events).toEqual(["found s1", "updated s1"]);
    await page.advance(6 * minuteMs);
    expect(server.countOf("GetCurrentUser")).toBe(2);
    server.session = undefined;
    await page.advance(minuteMs);
    expect(events.at(-1)).toBe("expired nobody");
  });

  it("a month away fits into a timer", async () => {
    server.signIn("s1", 720 * 60 * minuteMs);
    await vestibule.session.refresh();
    await page.advance(10 * minuteMs);
    expect(server.countOf("GetCurrentUser")).toBe(1);
  });
});

describe("other tabs", () => {
  let otherPage: FakePage;
  let other: VestibuleWeb;
  let otherEvents: string[];

  beforeEach(async () => {
    otherPage = new FakePage(tabs);
    other = open(otherPage, { baseUrl: "https://auth.example" });
    otherEvents = follow(other);
    server.signIn("s1");
    await Promise.all([vestibule.session.refresh(), other.session.refresh()]);
  });

  it("hear of a sign-out, without asking", async () => {
    server.calls = [];
    await vestibule.signOut();
    expect(otherEvents).toEqual(["found s1", "signed_out nobody"]);
    expect(server.calls).toEqual(["AuthLogout"]);
  });

  it("hear that the session was ended", async () => {
    server.session = undefined;
    await vestibule.session.refresh();
    expect(otherEvents).toEqual(["found s1", "ended nobody"]);
  });

  it("do not take the end of an old session for that of a newer one", async () => {
    server.signIn("s2");
    await other.session.refresh();
    server.next.set("AuthLogout", () => {});
    await vestibule.signOut();
    expect(other.session.current?.id).toBe("s2");
  });

  it("ask who it is when somebody signed in", async () => {
    const entry = vestibule.resumeCodeEntry({ strategyName: "mailotp", state: "x", email: "a@example.org" });
    server.methods.authCallback = () => {
      server.signIn("s2");
      return {};
    };
    await entry.finish("123456");
    await settle();
    expect(events).toEqual(["found s1", "signed_in s2"]);
    expect(otherEvents).toEqual(["found s1", "signed_in s2"]);
  });

  it("of another server hear nothing, nor do closed ones", async () => {
    const foreign = open(new FakePage(tabs), { baseUrl: "https://other.example" });
    server.calls = [];
    other.close();
    await vestibule.signOut();
    expect(other.session.current?.id).toBe("s1");
    expect(foreign.session.isKnown).toBe(false);
  });
});

describe("signing out", () => {
  beforeEach(async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
  });

  it("is not pretended when the server could not be told", async () => {
    server.next.set("AuthLogout", unavailable);
    await expect(vestibule.signOut()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(vestibule.session.current?.id).toBe("s1");
  });

  it("everywhere says how many sessions ended, and may keep this one", async () => {
    expect(await vestibule.signOutEverywhere({ keepCurrent: true })).toBe(2);
    expect(vestibule.session.current?.id).toBe("s1");
    expect(await vestibule.signOutEverywhere()).toBe(2);
    expect(vestibule.session.current).toBeUndefined();
    await expect(vestibule.signOutEverywhere()).rejects.toMatchObject({ code: Code.Unauthenticated });
  });
});

describe("access tokens", () => {
  it("are asked for once by all who wait, and kept", async () => {
    server.signIn("s1");
    const [one, two] = await Promise.all([
      vestibule.getAccessToken(),
      vestibule.getAccessToken(),
      vestibule.session.refresh(),
    ]);
    expect([one, two, await vestibule.getAccessToken()]).toEqual(["s1 - 1", "s1 - 1", "s1 - 1"]);
    expect(server.countOf("AuthToken")).toBe(1);
  });

  it("are renewed before they expire, behind calls", async () => {
    server.signIn("s1");
    await vestibule.getAccessToken();
    await page.advance(45 * minuteMs);
    expect(await vestibule.getAccessToken()).toBe("s1 - 1");
    await settle();
    expect(await vestibule.getAccessToken()).toBe("s1 - 2");
  });

  it("are of the session that is now, not of the one before", async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
    await vestibule.getAccessToken();
    await vestibule.signOut();
    await expect(vestibule.getAccessToken()).rejects.toMatchObject({ code: Code.Unauthenticated });
    server.signIn("s2");
    await vestibule.session.refresh();
    expect(await vestibule.getAccessToken()).toMatch(/^s2 /);
  });

  it("that were on their way when somebody else signed in are not handed out", async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
    server.methods.authCallback = () => {
      server.signIn("s2");
      return {};
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    server.methods.authToken = async () => {
      const { id = "" } = server.session ?? {};
      if (id === "s1") await promise;
      return { accessToken: id, expiresIn: 3600 };
    };
    const waiting = vestibule.getAccessToken();
    await settle();
    await vestibule.resumeCodeEntry({ strategyName: "mailotp", state: "x", email: "" }).finish("1");
    resolve();
    expect(await waiting).toBe("s2");
  });

  it("are of the project that was asked for", async () => {
    server.signIn("s1");
    const inProject = open(page, { baseUrl: "https://auth.example", project: "demo" });
    expect(await inProject.getAccessToken()).toBe("s1 demo 1");
  });

  it("are for the organization that was asked for", async () => {
    server.signIn("s1");
    const forOne = open(page, { baseUrl: "https://auth.example", organization: "acme" });
    expect(await forOne.getAccessToken()).toBe("s1 acme 1");
  });

  it("are replaced when an API refuses them", async () => {
    server.signIn("s1");
    const refused = await vestibule.getAccessToken();
    expect(await vestibule.getAccessToken({ refused })).toBe("s1 - 2");
    expect(await vestibule.getAccessToken({ refused })).toBe("s1 - 2");
  });

  it("say why there is none", async () => {
    server.next.set("AuthToken", () => {
      throw unauthenticated();
    });
    await expect(vestibule.getAccessToken()).rejects.toMatchObject({ code: Code.Unauthenticated });
    const aborted = AbortSignal.abort(new Error("enough"));
    await expect(vestibule.getAccessToken({ signal: aborted })).rejects.toThrow("enough");
  });
});

it("the clock moves on while the device sleeps, and when the wall clock is set back", () => {
  let [monotonic, wall] = [500, 1_000_000];
  const clock = createClock(
    () => monotonic,
    () => wall,
  );
  wall += 3_600_000;
  expect(clock.monotonicMs()).toBe(3_600_000);
  wall -= 7_200_000;
  monotonic += 10;
  expect(clock.monotonicMs()).toBe(10);
});

it("refuses an address that is none", () => {
  for (const baseUrl of ["", "auth.example", "javascript:alert(1)"]) {
    expect(() => open(page, { baseUrl })).toThrow(TypeError);
  }
});
