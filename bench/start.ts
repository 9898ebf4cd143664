/** How soon the built server answers, and what it holds three seconds later, beside a bare connect-node server. */
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./parts/compare.ts";
import { residentMib } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { type BenchServer, startBundledContender, startVestibule } from "./parts/servers.ts";

const rounds = 7;

async function measure(start: () => Promise<BenchServer>): Promise<{ readyMs: number; mib: number }> {
  const server = await start();
  await sleep(3000);
  const mib = residentMib(server.pid);
  await server.stop();
  return { readyMs: server.readyAfterMs, mib };
}

/** Alternates the two, so that whatever else the machine does hits both. */
export async function benchStart(): Promise<Section> {
  const ours = [];
  const bare = [];
  for (let round = 0; round < rounds; round++) {
    bare.push(await measure(() => startBundledContender("bare-start")));
    ours.push(await measure(() => startVestibule()));
  }
  const readyMs = median(ours.map((one) => one.readyMs));
  const bareMs = median(bare.map((one) => one.readyMs));
  const mib = median(ours.map((one) => one.mib));
  return {
    title: "Start and memory",
    columns: ["what", "Vestibule", "bare connect-node", "ratio", "aim"],
    rows: [
      [
        "spawn to first answer",
        `${readyMs.toFixed(0)} ms`,
        `${bareMs.toFixed(0)} ms`,
        (readyMs / bareMs).toFixed(2),
        "≤ 2",
      ],
      [
        "resident after 3 s",
        `${mib.toFixed(0)} MiB`,
        `${median(bare.map((one) => one.mib)).toFixed(0)} MiB`,
        "",
        "≤ 110 MB",
      ],
    ],
    note: "Both are one bundled file. Ours opens, migrates and locks an empty database, makes its keys and warms every schema rule before it answers.",
  };
}
