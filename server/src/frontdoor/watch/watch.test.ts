import { performance } from "node:perf_hooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { describeDatabases } from "../../../../test/parts/databases.ts";
import { within } from "../../../../test/parts/within.ts";
import { ChangeFeed } from "../../changes/feed.ts";
import { DomainError } from "../../lib/errors.ts";
import { silentLog } from "../../lib/log.ts";
import { findTenant } from "../../organizations/store.ts";
import type { Caller } from "../../principals/principal.ts";
import { createFrontdoorSweep } from "../sweep.ts";
import { createRoom, reasonOf, type TestRoom, toMachine } from "../test-support.ts";
import { ProviderWatch, type ProviderWatchOptions, type WatchEvent, type WatchRequest } from "./watch.ts";

describeDatabases("watching providers", (under) => {
  let room: TestRoom;
  let manager: Caller;
  let viewer: Caller;
  let orgId: string;
  let frontdoorId: string;
  let watch: ProviderWatch;
  /** As another process has it. */
  let elsewhere: { readonly feed: ChangeFeed; readonly room: TestRoom };
  let ends: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    room = createRoom(under.database);
    const other = createRoom(await under.openAnother());
    const feed = new ChangeFeed({
      database: other.database,
      clock: room.context.clock,
      log: silentLog,
      pollIntervalMs: 100,
    });
    await feed.start();
    elsewhere = { feed, room: other };
  });
  afterAll(() => elsewhere.feed.stop());

  beforeEach(async () => {
    orgId = await room.createOrganization();
    manager = toMachine(orgId, "manager");
    viewer = toMachine(orgId, "viewer");
    frontdoorId = (await room.frontdoors.create(manager, "", "")).id;
    watch = createWatch();
  });
  afterEach(async () => {
    for (const end of ends) await end();
    ends = [];
  });

  function createWatch(options: Partial<ProviderWatchOptions> = {}): ProviderWatch {
    const made = new ProviderWatch({
      reader: room.database.reader,
      feed: room.feed,
      frontdoorAccess: room.frontdoorAccess,
      findTenant: (orgId) => findTenant(room.database.reader, orgId),
      ...options,
    });
    ends.push(async () => made.close());
    return made;
  }

  function open(resumeToken = "", request: Partial<WatchRequest> = {}, by = watch) {
    const abort = new AbortController();
    const events = by.watch(viewer, {
      frontdoorId,
      resumeToken,
      authenticate: async () => viewer.principal,
      credential: "c",
      signal: abort.signal,
      ...request,
    });
    ends.unshift(async () => {
      abort.abort();
      await events.return(undefined).catch(() => {});
    });
    return { abort, next: async () => (await events.next()).value as WatchEvent };
  }

  /** A stream with its snapshot behind it. */
  async function openRead(...from: Parameters<typeof open>) {
    const stream = open(...from);
    for (let event = await stream.next(); event.kind !== "snapshot_end"; ) event = await stream.next();
    return stream;
  }

  const draft = (name: string) => ({ name, type: "OIDC", enabled: true, data: oidc });
  const oidc = { issuer: "https://idp.example.com", clientId: "c", clientSecret: "canary-secret-1" };
  const create = (name: string) => {
    // Ids are in the order of milliseconds, and snapshots in that of ids.
    room.context.pass(0.001);
    return room.providers.create(manager, frontdoorId, draft(name));
  };
  const rename = (id: string, name: string) => room.providers.update(manager, { frontdoorId, id }, { name });

  /** An event in a few words. */
  function outline(event: WatchEvent): string {
    if (event.kind === "change") return `${event.change.event} ${event.change.provider.name}`;
    return event.kind === "snapshot" ? `snapshot ${event.provider.name}` : event.kind;
  }

  async function take(stream: { next(): Promise<WatchEvent> }, count: number): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) taken.push(outline(await stream.next()));
    return taken;
  }

  it("begins with all there are, then tells each change in order, without secrets", async () => {
    const { id } = await create("a");
    await create("b");
    const stream = open();
    expect(await take(stream, 4)).toEqual(["snapshot_begin", "snapshot a", "snapshot b", "snapshot_end"]);
    await rename(id, "a2");
    await room.providers.update(manager, { frontdoorId, id }, { data: { clientSecret: "canary-secret-2" } });
    await create("c");
    await room.providers.delete(manager, { frontdoorId, id }, {});
    const events = [await stream.next(), await stream.next(), await stream.next(), await stream.next()];
    expect(events.map(outline)).toEqual(["updated a2", "updated a2", "created c", "deleted a2"]);
    expect(events[1]).toMatchObject({
      change: { provider: { revision: 3, data: { issuer: oidc.issuer, clientSecret: "********" } } },
    });
    expect(JSON.stringify(events)).not.toContain("canary");
    const rows = await under.database.reader.selectFrom("auth_provider_changes").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain("canary");
  });

  it("shows an empty frontdoor as an empty snapshot", async () => {
    expect(await take(open(), 2)).toEqual(["snapshot_begin", "snapshot_end"]);
  });

  it("shows many providers each once, those that change meanwhile included", async () => {
    for (let index = 0; index < 120; index++) await create(`p${index}`);
    const stream = open();
    const first = await take(stream, 20);
    const { items } = await room.lists.list(manager, frontdoorId, {
      page: 0,
      size: 200,
      column: "created_at",
      descending: true,
      type: "",
      name: "",
    });
    const [newest, , oldest] = [items[0], items[60], items[119]];
    await rename(newest?.id ?? "", "newest");
    await rename(oldest?.id ?? "", "oldest");
    const rest: string[] = [];
    while (rest.at(-1) !== "updated oldest") rest.push(outline(await stream.next()));
    const all = [...first, ...rest];
    expect(all.filter((each) => each.startsWith("updated"))).toEqual(["updated newest", "updated oldest"]);
    const shown = all.filter((each) => each.startsWith("snapshot p"));
    expect(new Set(shown).size).toBe(shown.length);
    expect(shown).toHaveLength(119);
    expect(shown).not.toContain("snapshot p119");
  });

  describe("resumed by a token", () => {
    async function takeToken(stream: { next(): Promise<WatchEvent> }): Promise<string> {
      const event = await stream.next();
      return "resumeToken" in event ? event.resumeToken : "";
    }

    it("goes on after it, at every place and on another process", async () => {
      const { id } = await create("a");
      const stream = open();
      await take(stream, 2);
      const tokens = [await takeToken(stream)];
      for (const name of ["b", "c", "d"]) {
        await rename(id, name);
        tokens.push(await takeToken(stream));
      }
      const expected = ["updated b", "updated c", "updated d"];
      for (const [place, token] of tokens.entries()) {
        const others = expected.slice(place);
        expect(await take(open(token), 1 + others.length)).toEqual(["alive", ...others]);
        const there = createWatch({ reader: elsewhere.room.database.reader, feed: elsewhere.feed });
        expect(await take(open(token, {}, there), 1 + others.length)).toEqual(["alive", ...others]);
      }
    });

    it("begins anew when the changes since then are gone", async () => {
      const { id } = await create("a");
      const stream = open();
      await take(stream, 2);
      const old = await takeToken(stream);
      await rename(id, "b");
      const sweep = createFrontdoorSweep(under.database, room.context.clock);
      room.context.pass(3599);
      await sweep();
      expect(await take(open(old), 2)).toEqual(["alive", "updated b"]);
      room.context.pass(1);
      await sweep();
      // This process still has them in memory, as long as somebody watches.
      expect(await take(open(old), 2)).toEqual(["alive", "updated b"]);
      const another = createWatch();
      expect(await take(open(old, {}, another), 3)).toEqual(["snapshot_begin", "snapshot b", "snapshot_end"]);
      // What has nothing after it is good for ever.
      const newest = await takeToken(stream);
      expect(await take(open(newest, {}, createWatch()), 1)).toEqual(["alive"]);
    });

    it("begins anew after changes that a restored database does not hold, though others have their numbers", async () => {
      const { id } = await create("a");
      const live = await openRead();
      await rename(id, "lost");
      const lost = await takeToken(live);
      // As the backup had it, and then went on.
      await under.database.transaction(async (tx) => {
        const { mark } = await tx
          .selectFrom("auth_provider_changes")
          .select("mark")
          .where("frontdoor_id", "=", frontdoorId)
          .where("seq", "=", 1)
          .executeTakeFirstOrThrow();
        await tx
          .deleteFrom("auth_provider_changes")
          .where("frontdoor_id", "=", frontdoorId)
          .where("seq", "=", 2)
          .execute();
        await tx
          .updateTable("frontdoors")
          .set({ change_seq: 1, change_mark: mark })
          .where("id", "=", frontdoorId)
          .execute();
      });
      await create("b");
      expect(await take(live, 4)).toEqual(["snapshot_begin", "snapshot lost", "snapshot b", "snapshot_end"]);
      await create("c");
      const anew = ["snapshot_begin", "snapshot lost", "snapshot b", "snapshot c", "snapshot_end"];
      for (const by of [watch, createWatch()]) expect(await take(open(lost, {}, by), 5)).toEqual(anew);
      expect(await take(live, 1)).toEqual(["created c"]);
    });

    it("refuses a token of another frontdoor, and nonsense", async () => {
      const other = (await room.frontdoors.create(manager, "", "")).id;
      const stream = open("", { frontdoorId: other });
      await take(stream, 1);
      const token = await takeToken(stream);
      expect(await reasonOf(open(token).next())).toBe("INVALID_REQUEST");
      expect(await reasonOf(open("nonsense").next())).toBe("INVALID_REQUEST");
    });
  });

  it("hears of other processes within a second", async () => {
    const there = createWatch({ reader: elsewhere.room.database.reader, feed: elsewhere.feed });
    const stream = await openRead("", {}, there);
    let count = 0;
    await within(1000, async () => {
      const name = `a${count++}`;
      const coming = stream.next();
      const beganAtMs = performance.now();
      await create(name);
      expect(outline(await coming)).toBe(`created ${name}`);
      return performance.now() - beganAtMs;
    });
  });

  it("waits for a slow consumer without holding up others, and misses nothing", async () => {
    const slow = await openRead();
    const quick = await openRead();
    const { id } = await create("n0");
    const names = Array.from({ length: 300 }, (_, index) => `n${index + 1}`);
    for (const name of names) await rename(id, name);
    const expected = ["created n0", ...names.map((name) => `updated ${name}`)];
    expect(await take(quick, 301)).toEqual(expected);
    expect(await take(slow, 301)).toEqual(expected);
  });

  it("hands the same change to all who watch", async () => {
    const streams = [await openRead(), await openRead()];
    await create("a");
    const [one, other] = [await streams[0]?.next(), await streams[1]?.next()];
    expect(one?.kind === "change" && other?.kind === "change" && one.change === other.change).toBe(true);
  });

  it("says that it is alive", async () => {
    const lively = createWatch({ heartbeatMs: 40 });
    const stream = await openRead("", {}, lively);
    expect(await take(stream, 2)).toEqual(["alive", "alive"]);
  });

  it("says so within a second of 15 silent ones, whenever it spoke last", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    let nowMs = performance.now();
    const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    const pass = async (seconds: number, id: string) => {
      for (let passed = 0; passed < seconds; passed += 0.5) {
        nowMs += 500;
        vi.advanceTimersByTime(500);
        // Long enough for a stream that would speak too early to do so.
        await room.providers.get(viewer, { frontdoorId, id });
      }
    };
    try {
      const { id } = await create("a");
      const stream = await openRead();
      await pass(4, id);
      await rename(id, "b");
      expect(await take(stream, 1)).toEqual(["updated b"]);
      const spoken: string[] = [];
      const coming = stream.next().then((event) => spoken.push(event.kind));
      await pass(14.5, id);
      expect(spoken).toEqual([]);
      await pass(1.5, id);
      // However long that takes: by this clock it is no later than now.
      await coming;
      expect(spoken).toEqual(["alive"]);
    } finally {
      clock.mockRestore();
      vi.useRealTimers();
    }
  });

  describe("ends", () => {
    it("when the server stops", async () => {
      const stream = await openRead();
      const coming = stream.next();
      stream.abort.abort();
      expect(await reasonOf(coming)).toBe("UNAVAILABLE");
      expect(watch.size).toBe(0);
    });

    it("when the credential is good no longer, before it tells anything more", async () => {
      let isGood = true;
      const authenticate = async () => {
        if (!isGood) throw new DomainError("NOT_AUTHENTICATED");
        return viewer.principal;
      };
      const stream = await openRead("", { authenticate, credential: "revoked" });
      const coming = stream.next();
      isGood = false;
      await under.database.transaction((tx) => room.feed.append(tx, { topic: "credential", subject: "x" }));
      await create("a");
      expect(await reasonOf(coming)).toBe("NOT_AUTHENTICATED");
    });

    it("at once, though there is nothing to tell, when the caller or the organization changes", async () => {
      const { principal } = viewer;
      const orgId = principal.type === "serviceuser" ? principal.orgId : "";
      const changes = [
        { topic: "credential", subject: "c" },
        { topic: "service-user", subject: principal.id },
        { topic: "organization", subject: orgId },
      ] as const;
      for (const change of changes) {
        let isGood = true;
        const authenticate = async () => {
          if (!isGood) throw new DomainError("NOT_AUTHENTICATED");
          return principal;
        };
        const stream = await openRead("", { authenticate, credential: change.topic });
        const coming = stream.next();
        isGood = false;
        await under.database.transaction((tx) => room.feed.append(tx, change));
        expect(await reasonOf(coming), change.topic).toBe("NOT_AUTHENTICATED");
      }
      expect(watch.size).toBe(0);
    });

    it("when the frontdoor is deleted", async () => {
      const stream = await openRead();
      const coming = stream.next();
      await room.frontdoors.delete(manager, frontdoorId);
      expect(await reasonOf(coming)).toBe("FRONTDOOR_NOT_FOUND");
    });

    it("before it begins, for those who may not read", async () => {
      const stranger = toMachine(await room.createOrganization(), "owner");
      const { signal } = new AbortController();
      const request = {
        frontdoorId,
        resumeToken: "",
        authenticate: async () => stranger.principal,
        credential: "s",
        signal,
      };
      expect(await reasonOf(watch.watch(stranger, request).next())).toBe("FRONTDOOR_NOT_FOUND");
    });
  });

  it("is limited in number, by caller and in all", async () => {
    const few = createWatch({ maxStreamsPerCaller: 2, maxStreams: 3 });
    const streams = [await openRead("", {}, few), await openRead("", {}, few)];
    expect(await reasonOf(open("", {}, few).next())).toBe("TOO_MANY_STREAMS");
    viewer = toMachine(orgId, "viewer");
    await openRead("", {}, few);
    viewer = toMachine(orgId, "viewer");
    expect(await reasonOf(open("", {}, few).next())).toBe("TOO_MANY_STREAMS");
    streams[0]?.abort.abort();
    await reasonOf(streams[0]?.next() as Promise<unknown>);
    await openRead("", {}, few);
    expect(few.size).toBe(3);
  });

  it("is used up by no tenant for another: the largest gives up its oldest stream, to be resumed", async () => {
    const few = createWatch({ maxStreams: 4 });
    const watchAs = async (caller: Caller, resumeToken = "") => {
      const { frontdoors, frontdoorAccess } = room;
      const orgOf = caller.principal.type === "serviceuser" ? caller.principal.orgId : "";
      const owner = toMachine(orgOf, "manager");
      const id = (await frontdoors.create(owner, "", "")).id;
      expect((await frontdoorAccess.require(caller.principal, id, "read")).id).toBe(id);
      const abort = new AbortController();
      const request = { frontdoorId: id, authenticate: async () => caller.principal, credential: id };
      const events = few.watch(caller, { ...request, resumeToken, signal: abort.signal });
      ends.unshift(async () => {
        abort.abort();
        await events.return(undefined).catch(() => {});
      });
      const next = async () => (await events.next()).value as WatchEvent;
      const end = () => events.return(undefined);
      const resume = (token: string) =>
        few.watch(caller, { ...request, resumeToken: token, signal: abort.signal });
      return { next, end, resume };
    };
    const toSnapshotEnd = async ({ next }: { readonly next: () => Promise<WatchEvent> }) => {
      for (;;) {
        const event = await next();
        if (event.kind === "snapshot_end") return event.resumeToken;
      }
    };
    // One person's organizations are one tenant, whoever watches there.
    const orgs = [];
    for (let made = 0; made < 4; made += 1) {
      orgs.push(await room.createOrganization("enabled", undefined, "greedy"));
    }
    const streams = [];
    const tokens = [];
    for (const org of orgs) {
      const stream = await watchAs(toMachine(org, "viewer"));
      streams.push(stream);
      tokens.push(await toSnapshotEnd(stream));
    }
    const ended = expect(streams[0]?.next()).rejects.toMatchObject({
      reason: "STREAM_DISPLACED",
      kind: "resource_exhausted",
      message: expect.stringContaining("resume_token"),
    });
    const neighbour = await watchAs(toMachine(await room.createOrganization(), "viewer"));
    await toSnapshotEnd(neighbour);
    await ended;
    const again = streams[0]?.resume(tokens[0] ?? "");
    expect(await reasonOf(again?.next() as Promise<unknown>)).toBe("TOO_MANY_STREAMS");
    expect(few.size).toBe(4);
    // With a place free it goes on where it was.
    await neighbour.end();
    const later = streams[0]?.resume(tokens[0] ?? "");
    expect((await later?.next())?.value).toEqual({ kind: "alive", resumeToken: tokens[0] });
    await later?.return(undefined);
  });
});
