import { expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { MailboxLimits, type MailboxLimitsOptions } from "./mailbox-limits.ts";
import { deleteStaleCounts } from "./store.ts";

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

  const guess = (to: MailboxLimits, mailbox: string) =>
    under.database.transaction((tx) => to.countGuess(tx, mailbox));

  it("lets exactly as many guesses through as allowed, however many come at once", async () => {
    const mailbox = newMailbox();
    const other = limits({ database: await under.openAnother() });
    const guesses = Array.from({ length: 40 }, (_, index) => guess(index % 2 ? limits() : other, mailbox));
    const counted = (await Promise.all(guesses)).filter((each) => each !== undefined);
    expect(counted).toHaveLength(10);
    expect(await guess(limits(), newMailbox())).toBeDefined();
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
    const counted = await guess(limited, mailbox);
    expect(await guess(limited, mailbox)).toBeUndefined();
    if (counted === undefined) throw new Error("not counted");
    await under.database.transaction((tx) => limited.forgiveGuess(tx, counted));
    await under.database.transaction((tx) => limited.forgiveGuess(tx, counted));
    expect(await guess(limited, mailbox)).toBeDefined();
    expect(await guess(limited, mailbox)).toBeUndefined();
  });

  it("bounds mails per mailbox and per address, for both or for neither", async () => {
    const limited = limits({ mailsPerMailbox: 2, mailsPerAddress: 3 });
    const [one, two] = [newMailbox(), newMailbox()];
    const address = `2001:db8:${count}::1`;
    expect(await limited.take(one, address)).toBe(true);
    expect(await limited.take(one, `2001:db8:${count}::2`)).toBe(true);
    expect(await limited.take(one, address)).toBe(false);
    // Had the refused one counted for the address, this would be its fourth.
    expect(await limited.take(two, address)).toBe(true);
    expect(await limited.take(two, address)).toBe(false);
    expect(await limited.take(two, "192.0.2.1")).toBe(true);
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
    const sweep = (atMs: number) =>
      under.database.transaction((tx) => deleteStaleCounts(tx, new Date(atMs), 1000, hourMs));
    expect(await sweep(nowMs + hourMs - 1)).toBeGreaterThan(0);
    expect(await guess(limited, mailbox)).toBeUndefined();
    expect(await sweep(nowMs + hourMs)).toBe(1);
    expect(await sweep(nowMs + hourMs)).toBe(0);
  });

  it("sweeps what a clock that ran ahead has left a window after that is set right", async () => {
    const limited = limits();
    nowMs = startMs + 100 * hourMs;
    await guess(limited, newMailbox());
    nowMs = startMs + 60 * hourMs;
    const rows = () => under.database.reader.selectFrom("rolling_counts").selectAll().execute();
    const sweep = () =>
      under.database.transaction((tx) => deleteStaleCounts(tx, new Date(nowMs), 1000, hourMs));
    await sweep();
    expect(await rows()).not.toEqual([]);
    nowMs += hourMs;
    await sweep();
    expect(await rows()).toEqual([]);
  });
});
