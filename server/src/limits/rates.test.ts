import { afterEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { LimitsConfig } from "../config/config.ts";
import type { Database } from "../db/database.ts";
import type { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { type Counted, createRates, type Rate } from "./rates.ts";
import { SharedCounts } from "./shared-counts.ts";

let nowMs = Date.UTC(2027, 0, 1);
const clock = { now: () => new Date(nowMs) };

const running: SharedCounts[] = [];
afterEach(async () => {
  for (const counts of running.splice(0)) await counts.close();
  nowMs += 3_600_000;
});

/** A process, which tells and learns only when told to. */
async function startProcess(database: Database) {
  const options = { database, clock, log: silentLog, windowMs: 60_000, exchangeEveryMs: 3_600_000 };
  const counts = new SharedCounts(options);
  running.push(counts);
  await counts.start();
  const used: string[] = [];
  const onLimit = (limit: string) => used.push(limit);
  const config = { begunFlowsPerIpv4AddressPerMinute: 6, begunFlowsPerIpv6BlockPerMinute: 3 };
  const limits = createRates({ counts, clock, onLimit }, config as LimitsConfig).address_flows;
  return { counts, limits, used };
}

function takeAll(limits: Rate, addresses: readonly string[]): Counted[] {
  return addresses.map((address) => limits.take(address));
}

function refusalOf(limits: Rate, address: string): DomainError | undefined {
  try {
    limits.take(address);
    return undefined;
  } catch (error) {
    return error as DomainError;
  }
}

const tooMany = { reason: "TOO_MANY_FLOWS", kind: "resource_exhausted" };

describeDatabases("flow limits", (under) => {
  let count = 1;
  const newIpv4 = () => `203.0.113.${count++}`;
  const newIpv6Block = () => `2001:db8:0:${(count++).toString(16)}`;

  it("let as many begin as an IPv4 address may, and no more until the minute is over", async () => {
    const { limits, used } = await startProcess(under.database);
    const address = newIpv4();
    takeAll(limits, [...Array<string>(5).fill(address), `::ffff:${address}`]);
    const refused = refusalOf(limits, address);
    expect(refused).toMatchObject({ ...tooMany, retryAfterSeconds: 65 });
    expect(refusalOf(limits, newIpv4())).toBeUndefined();
    expect(used).toEqual(["address_flows"]);
    nowMs += 64_999;
    expect(refusalOf(limits, address)).toMatchObject({ ...tooMany, retryAfterSeconds: 1 });
    nowMs += 1;
    takeAll(limits, Array<string>(6).fill(address));
    expect(refusalOf(limits, address)).toMatchObject(tooMany);
  });

  it("let fewer begin from a /64 of IPv6, which is one", async () => {
    const { limits } = await startProcess(under.database);
    const block = newIpv6Block();
    takeAll(limits, [`${block}::1`, `${block}::2`, `${block}:ffff:ffff:ffff:ffff`]);
    expect(refusalOf(limits, `${block}:1::`)).toMatchObject(tooMany);
    expect(refusalOf(limits, `${newIpv6Block()}::1`)).toBeUndefined();
  });

  it("are given back by what comes to a good end, within the minute", async () => {
    const { limits } = await startProcess(under.database);
    const address = `${newIpv6Block()}::1`;
    for (let ended = 0; ended < 20; ended += 1) limits.giveBack(limits.take(address));
    const [first] = takeAll(limits, [address, address, address]);
    expect(refusalOf(limits, address)).toMatchObject(tooMany);
    if (first === undefined) throw new Error("not counted");
    nowMs += 30_000;
    limits.giveBack(first);
    expect(refusalOf(limits, address)).toBeUndefined();
    expect(refusalOf(limits, address)).toMatchObject(tooMany);
    // What has left the window by itself leaves no room for another one.
    nowMs += 65_000;
    const late = limits.take(address);
    nowMs += 65_000;
    limits.giveBack(late);
    takeAll(limits, [address, address, address]);
    expect(refusalOf(limits, address)).toMatchObject(tooMany);
  });

  it("count over all processes, and are given back by whichever ends it", async () => {
    const here = await startProcess(under.database);
    const address = newIpv4();
    const flows = takeAll(here.limits, Array<string>(6).fill(address));
    await here.counts.exchange();
    const there = await startProcess(await under.openAnother());
    expect(refusalOf(there.limits, address)).toMatchObject(tooMany);
    for (const flow of flows.slice(0, 2)) there.limits.giveBack(flow);
    await there.counts.exchange();
    await here.counts.exchange();
    // Of an SQLite file there is one server: what others did it learns as it starts.
    const { limits } = under.dialect === "postgres" ? here : await startProcess(under.database);
    takeAll(limits, [address, address]);
    expect(refusalOf(limits, address)).toMatchObject(tooMany);
  });
});
