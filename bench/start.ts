/** How soon the built server answers, and what it holds three seconds later, beside a bare connect-node server. */
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./parts/compare.ts";
import { residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { type BenchServer, startTimedContender, startVestibule } from "./parts/servers.ts";

const [rounds, memoryRounds] = [15, 3];

type Start = () => Promise<BenchServer>;

interface Measured {
  readonly listensMs: number[];
  readonly readyMs: number[];
  readonly mib: number[];
}

/** How long it takes; at once after another's, as what a core and its caches have forgotten meanwhile is no work of a start. */
async function time(start: Start, { listensMs, readyMs }: Measured): Promise<void> {
  const server = await start();
  listensMs.push(server.listensAfterMs);
  readyMs.push(server.readyAfterMs);
  await server.stop();
}

async function weigh(start: Start, { mib }: Measured): Promise<void> {
  const server = await start();
  await sleep(3000);
  mib.push(residentMib(server.pid));
  await server.stop();
}

function toMedians({ listensMs, readyMs, mib }: Measured) {
  return { listensMs: median(listensMs), readyMs: median(readyMs), mib: median(mib) };
}

/** The three take turns, so that whatever else the machine does hits all of them. */
export async function benchStart(): Promise<Section> {
  const starts = {
    ours: () => startVestibule(),
    installed: () => startTimedContender("bare-start", "installed"),
    bundled: () => startTimedContender("bare-start", "bundled"),
  };
  const none = (): Measured => ({ listensMs: [], readyMs: [], mib: [] });
  const all = { ours: none(), installed: none(), bundled: none() };
  const names = ["installed", "bundled", "ours"] as const;
  // First, since what the first one of ours compiles is kept for the others.
  for (let round = 0; round < memoryRounds; round++) {
    for (const name of names) await weigh(starts[name], all[name]);
  }
  for (let round = 0; round < rounds; round++) {
    for (const name of names) await time(starts[name], all[name]);
  }
  const [ours, installed, bundled] = [toMedians(all.ours), toMedians(all.installed), toMedians(all.bundled)];
  const toRow = (what: string, ms: number) => [
    what,
    `${ms.toFixed(0)} ms`,
    `${installed.listensMs.toFixed(0)} ms`,
    (ms / installed.listensMs).toFixed(2),
    `${bundled.listensMs.toFixed(0)} ms`,
    (ms / bundled.listensMs).toFixed(2),
  ];
  const toMib = ({ mib }: { readonly mib: number }) => `${mib.toFixed(0)} MiB`;
  return {
    title: "Start and memory",
    columns: ["what", "Vestibule", "bare connect-node", "ratio", "the same, bundled", "ratio"],
    rows: [
      toRow("spawn to listening", ours.listensMs),
      toRow("spawn to ready", ours.readyMs),
      ["resident after 3 s", toMib(ours), toMib(installed), "", toMib(bundled), ""],
    ],
    note: "Medians of 15 starts in turns, warm: one at once after the other; resident of 3. Aims: ready within 1.5× of a bare connect-node server with its packages in node_modules and within 2.5× of the same bundled, at most 100 MB. Ours opens, migrates and locks an empty database and makes its keys before it listens.",
  };
}
