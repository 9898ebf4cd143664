/** For how long nobody is answered while the server removes what is over. */
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { withPeople } from "./parts/seed-people.ts";
import { measureRetention, measureSweep } from "./parts/sweep.ts";

const people = 1_000_000;
/** Of sessions, of flows and of records of the audit. */
const expired = 100_000;

/** Sweeps of a large database, beside somebody who asks, and beside as many tokens as records are removed. */
export async function benchPauses(): Promise<Section> {
  const load = new LoadProcess();
  try {
    return await withPeople(people, async (dataDir) => ({
      title: "Pauses",
      columns: ["what", "Vestibule", "against", "ratio", "aim"],
      rows: [...(await measureSweep(load, dataDir, expired)), ...(await measureRetention(load, dataDir))],
      note: "Among a million people, on SQLite; server on one core, load from another process on the second, over one connection, for tokens over 32. A pause is the time for which the event loop does nothing else, less the time that the system gave to other programs. A request beside tokens is one for a token, from when it was due.",
    }));
  } finally {
    load.close();
  }
}
