/**
 * `npm run bench [-- start machines …] [-- --save]`: measures, prints a table,
 * and with `--save` keeps it in `bench/README.md`. Never part of the tests: a
 * time that fails a run on a busy machine says nothing.
 */
import { fileURLToPath } from "node:url";
import { benchCores } from "./cores.ts";
import { benchGate } from "./gate.ts";
import { benchMachines } from "./machines.ts";
import { type Section, saveReport, toMarkdown } from "./parts/report.ts";
import { benchPauses } from "./pauses.ts";
import { benchPeople } from "./people.ts";
import { benchProviders } from "./providers.ts";
import { benchPostgres, benchScaling, benchSizes } from "./scaling.ts";
import { benchSearch } from "./search.ts";
import { benchStart } from "./start.ts";

const benchmarks: Readonly<Record<string, () => Promise<Section>>> = {
  start: benchStart,
  machines: benchMachines,
  people: benchPeople,
  pauses: benchPauses,
  providers: benchProviders,
  search: benchSearch,
  gate: benchGate,
  cores: benchCores,
  scaling: benchScaling,
  postgres: benchPostgres,
  sizes: benchSizes,
};

const args = process.argv.slice(2);
const asked = args.filter((arg) => !arg.startsWith("--"));
const unknown = asked.find((name) => !(name in benchmarks));
if (unknown !== undefined) {
  console.error(`bench: unknown benchmark ${unknown}; there are ${Object.keys(benchmarks).join(", ")}`);
  process.exit(1);
}

const sections: Section[] = [];
for (const [name, run] of Object.entries(benchmarks)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const section = await run();
  console.log(toMarkdown(section));
  sections.push(section);
}
if (args.includes("--save")) {
  saveReport(fileURLToPath(new URL("./README.md", import.meta.url)), sections, new Date());
}
process.exit(0);
