import { expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Database } from "../db/database.ts";
import {
  type Asker,
  createMailboxCountSweep,
  MailboxLimits,
  type MailboxLimitsOptions,
} from "./mailbox-limits.ts";
import { bringBackCounts } from "./store.ts";

const startMs = Date.parse("2027-01-01T00:00:00Z");
const hourMs = 3_600_000;

describeDatabases("mailbox limits", (under) => {
  let nowMs = startMs;
  let count = 0;
  const newMailbox = () => `ada-${count++}@example.org`;

  function limits(options: Partial<MailboxLimitsOptions> = {}): MailboxLimits {
    return new MailboxLimits({
      database: under.database,
      clock: { now: () => new Date(nowMs) },
      wrongCodesPerMailbox: 10,
      mailsPerMailbox: 5,
      mailsPerAddress: 20,
      ...options,
    });
  }

  /** Somebody in a network of their own, who has never been here before. */
  const newStranger = (): Asker => ({ clientAddress: `2001:db8:${count++}::1`, knownBrowser: undefined });
  const known = (knownBrowser: string): Asker => ({ clientAddress: "192.0.2.1", knownBrowser });

  const guess = (to: MailboxLimits, mailbox: string, asker = newStranger(), database = under.database) =>
    database.transaction((tx) => to.countGuess(tx, mailbox, asker));

  it("lets exactly as many guesses through as allowed, however many come at once", async () => {
    const mailbox = newMailbox();
    const databases = [under.database, await under.openAnother(), await under.openAnother()];
    const guesses = Array.from({ length: 45 }, (_, index) =>
      guess(limits(), mailbox, newStranger(), databases[index % 3]),
    );
    const counted = (await Promise.all(guesses)).filter((each) => each !== undefined);
    expect(counted).toHaveLength(10);
    expect(await guess(limits(), newMailbox())).toBeDefined();
  });

  it("are exact over three processes for networks, known browsers and the mailbox, all at once (case 40)", async () => {
    const mailbox = newMailbox();
    const [first, second, carl] = [newStranger(), newStranger(), known("carl's laptop")];
    const databases = [under.database, await under.openAnother(), await under.openAnother()];
    const race = (asker: Asker) =>
      Array.from({ length: 15 }, async (_, index) => {
        const usedUp = await limits({ database: databases[index % 3] as Database }).takeMail(mailbox, asker);
        return usedUp === undefined ? asker : undefined;
      });
    const sent = await Promise.all([...race(first), ...race(second), ...race(carl)]);
    const countOf = (asker: Asker) => sent.filter((each) => each === asker).length;
    // Five go to all strangers together, of which no network has more than three.
    expect(countOf(first) + countOf(second)).toBe(5);
    expect(Math.max(countOf(first), countOf(second))).toBe(3);
    expect(countOf(carl)).toBe(5);
  });

  it("let one network use no more than three fifths, and a known browser all of its own (T4)", async () => {
    const mailbox = newMailbox();
    const used: string[] = [];
    const limited = limits({ onLimit: (limit) => used.push(limit) });
    const [stranger, second] = [newStranger(), newStranger()];
    const neighbour = { ...stranger, clientAddress: stranger.clientAddress.replace("::1", ":ffff::2") };
    const tries = async (asker: Asker, times: number) => {
      const counted = [];
      for (let at = 0; at < times; at++) counted.push(await guess(limited, mailbox, asker));
      return counted.filter((each) => each !== undefined).length;
    };
    expect(await tries(stranger, 12)).toBe(6);
    expect(await tries(neighbour, 1)).toBe(0);
    expect(new Set(used)).toEqual(new Set(["network_wrong_codes"]));
    expect(await tries(second, 12)).toBe(4);
    expect(await tries(newStranger(), 1)).toBe(0);
    expect(used.at(-1)).toBe("mailbox_wrong_codes");
    expect(await tries(known("a"), 11)).toBe(10);
    expect(used.at(-1)).toBe("browser_wrong_codes");
    expect(await tries(known("b"), 1)).toBe(1);
  });

  it.each([
    [1, 1],
    [2, 1],
    [5, 3],
    [10, 6],
  ])("of %d leave a network %d", async (wrongCodesPerMailbox, share) => {
    const [mailbox, stranger] = [newMailbox(), newStranger()];
    const limited = limits({ wrongCodesPerMailbox });
    for (let at = 0; at < share; at++) expect(await guess(limited, mailbox, stranger)).toBeDefined();
    expect(await guess(limited, mailbox, stranger)).toBeUndefined();
  });

  it("lets a guess go with the hour that it was made in", async () => {
    const mailbox = newMailbox();
    const limited = limits({ wrongCodesPerMailbox: 2 });
    nowMs = startMs;
    await guess(limited, mailbox);
    nowMs = startMs + hourMs / 2;
    await guess(limited, mailbox);
    nowMs = startMs + hourMs - 1;
    expect(await guess(limited, mailbox)).toBeUndefined();
    nowMs = startMs + hourMs;
    expect(await guess(limited, mailbox)).toBeDefined();
    expect(await guess(limited, mailbox)).toBeUndefined();
  });

  it("forgives a guess that was right, once", async () => {
    const mailbox = newMailbox();
    const limited = limits({ wrongCodesPerMailbox: 1 });
    const stranger = newStranger();
    const counted = await guess(limited, mailbox, stranger);
    expect(await guess(limited, mailbox)).toBeUndefined();
    if (counted === undefined) throw new Error("not counted");
    await under.database.transaction((tx) => limited.forgiveGuess(tx, counted));
    await under.database.transaction((tx) => limited.forgiveGuess(tx, counted));
    expect(await guess(limited, mailbox, stranger)).toBeDefined();
    expect(await guess(limited, mailbox)).toBeUndefined();
  });

  it("bounds mails per mailbox and per address, for both or for neither", async () => {
    const limited = limits({ mailsPerMailbox: 4, mailsPerAddress: 3 });
    const [one, two] = [newMailbox(), newMailbox()];
    const stranger = newStranger();
    const take = (mailbox: string, asker = stranger) => limited.takeMail(mailbox, asker);
    expect([await take(one), await take(one), await take(one)]).toEqual([
      undefined,
      undefined,
      "network_mails",
    ]);
    // Had the refused one counted for the address, this would be its fourth.
    expect(await take(two)).toBeUndefined();
    expect(await take(two)).toBe("address_mails");
    expect(await take(two, { ...stranger, knownBrowser: "known" })).toBeUndefined();
    expect(await take(two, newStranger())).toBeUndefined();
    const boundless = limits({ mailsPerAddress: undefined });
    for (let mails = 0; mails < 30; mails++) {
      expect(await boundless.takeMail(newMailbox(), stranger)).toBeUndefined();
    }
  });

  it("counts what a clock that ran ahead has counted as of now, once that is set right", async () => {
    const limited = limits({ wrongCodesPerMailbox: 2 });
    const mailbox = newMailbox();
    nowMs = startMs + 100 * hourMs;
    await guess(limited, mailbox);
    await guess(limited, mailbox);
    nowMs = startMs + 50 * hourMs;
    expect(await guess(limited, mailbox)).toBeUndefined();
    nowMs += hourMs - 1;
    expect(await guess(limited, mailbox)).toBeUndefined();
    nowMs += 1;
    expect(await guess(limited, mailbox)).toBeDefined();
    expect(await guess(limited, mailbox)).toBeDefined();
    expect(await guess(limited, mailbox)).toBeUndefined();
  });

  it("sweeps what has left the window, and nothing else", async () => {
    const mailbox = newMailbox();
    nowMs = startMs + 10 * hourMs;
    const limited = limits({ wrongCodesPerMailbox: 1 });
    await guess(limited, mailbox);
    const sweep = (atMs: number) => createMailboxCountSweep(under.database, { now: () => new Date(atMs) })();
    expect(await sweep(nowMs + hourMs - 1)).toBeGreaterThan(0);
    expect(await guess(limited, mailbox)).toBeUndefined();
    // The mailbox's, and two networks' of which one was let.
    expect(await sweep(nowMs + hourMs)).toBeGreaterThan(1);
    expect(await sweep(nowMs + hourMs)).toBe(0);
  });

  it("sweeps what a clock that ran ahead has left a window after that is set right", async () => {
    const limited = limits();
    nowMs = startMs + 100 * hourMs;
    await guess(limited, newMailbox());
    nowMs = startMs + 60 * hourMs;
    const rows = () => under.database.reader.selectFrom("rolling_counts").selectAll().execute();
    const sweep = createMailboxCountSweep(under.database, { now: () => new Date(nowMs) });
    await sweep();
    expect(await rows()).not.toEqual([]);
    nowMs += hourMs;
    await sweep();
    expect(await rows()).toEqual([]);
  });

  it("brings back what a clock that ran ahead has left a few at a time", async () => {
    nowMs = startMs + 200 * hourMs;
    const aheadMs = nowMs + 100 * hourMs;
    const keys = Array.from({ length: 5 }, (_, index) => `ahead ${index}`);
    const { database } = under;
    await database.transaction((tx) =>
      tx
        .insertInto("rolling_counts")
        .values(keys.map((key) => ({ key, events: "[]", expires_at: aheadMs })))
        .execute(),
    );
    const bringBack = () => database.transaction((tx) => bringBackCounts(tx, new Date(nowMs), 2, hourMs));
    expect([await bringBack(), await bringBack(), await bringBack(), await bringBack()]).toEqual([
      2, 2, 1, 0,
    ]);
    const rows = await database.reader
      .selectFrom("rolling_counts")
      .select("expires_at")
      .where("key", "in", keys)
      .execute();
    expect(rows).toEqual(keys.map(() => ({ expires_at: nowMs + hourMs })));
  });
});
