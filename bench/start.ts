/** How soon the built server answers, and what it holds three seconds later, beside a bare connect-node server. */
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./parts/compare.ts";
import { residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { type BenchServer, startTimedContender, startVestibule } from "./parts/servers.ts";

const rounds = 11;

interface Measured {
  readonly listensMs: number;
  readonly readyMs: number;
  readonly mib: number;
}

async function measure(start: () => Promise<BenchServer>): Promise<Measured> {
  const server = await start();
  await sleep(3000);
  const mib = residentMib(server.pid);
  await server.stop();
  return { listensMs: server.listensAfterMs, readyMs: server.readyAfterMs, mib };
}

function toMedians(all: readonly Measured[]): Measured {
  const of = (key: keyof Measured) => median(all.map((one) => one[key]));
  return { listensMs: of("listensMs"), readyMs: of("readyMs"), mib: of("mib") };
}

/** The three take turns, so that whatever else the machine does hits all of them. */
export async function benchStart(): Promise<Section> {
  const starts = {
    ours: () => startVestibule(),
    installed: () => startTimedContender("bare-start", "installed"),
    bundled: () => startTimedContender("bare-start", "bundled"),
  };
  const all = { ours: [] as Measured[], installed: [] as Measured[], bundled: [] as Measured[] };
  for (let round = 0; round < rounds; round++) {
    for (const name of ["installed", "bundled", "ours"] as const) all[name].push(await measure(starts[name]));
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
  const toMib = ({ mib }: Measured) => `${mib.toFixed(0)} MiB`;
  return {
    title: "Start and memory",
    columns: ["what", "Vestibule", "bare connect-node", "ratio", "the same, bundled", "ratio"],
    rows: [
      toRow("spawn to listening", ours.listensMs),
      toRow("spawn to ready", ours.readyMs),
      ["resident after 3 s", toMib(ours), toMib(installed), "", toMib(bundled), ""],
    ],
    note: "Aims: ready within 1.5× of a bare connect-node server with its packages in node_modules and within 2.5× of the same bundled, at most 100 MB. Ours opens, migrates and locks an empty database and makes its keys before it listens.",
  };
}
