/** What superusers ask of people and organizations: lists from the newest, and searches by how somebody is called. */
import { rmSync } from "node:fs";
import { idOf } from "./parts/fill-database.ts";
import { toMachineHeaders } from "./parts/frontdoor.ts";
import type { PlainRequest } from "./parts/latency-load.ts";
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { type Both, costOf, sampleBoth } from "./parts/sample-both.ts";
import { organizationPrefix, personPrefix, seedSearch } from "./parts/seed-search.ts";
import { type BenchServer, makeDataDir, startVestibule } from "./parts/servers.ts";

const few = 1_000;
const manyPeople = 1_000_000;
const manyOrganizations = 100_000;
const pageSize = 20;

/** A server that is full of people and organizations. */
interface Place {
  readonly server: BenchServer;
  readonly headers: Record<string, string>;
  readonly people: number;
  readonly organizations: number;
}

async function withPlace<T>(
  people: number,
  organizations: number,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  const dataDir = makeDataDir();
  try {
    await (await startVestibule({ dataDir })).stop();
    seedSearch(dataDir, people, organizations, Date.now());
    const server = await startVestibule({ dataDir });
    try {
      return await use({ server, headers: await toMachineHeaders(server), people, organizations });
    } finally {
      await server.stop();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Lists of one noun. */
interface Lists {
  readonly what: string;
  readonly method: string;
  /** Begins what all of them are called. */
  readonly prefix: string;
  /** Digit of their ids, as {@link idOf} takes it. */
  readonly kind: string;
  readonly count: (place: Place) => number;
}

const nouns: readonly Lists[] = [
  {
    what: "people",
    method: "UserService/ListUsers",
    prefix: personPrefix,
    kind: "8",
    count: ({ people }) => people,
  },
  {
    what: "organizations",
    method: "OrganizationService/ListOrganizations",
    prefix: organizationPrefix,
    kind: "9",
    count: ({ organizations }) => organizations,
  },
];

/** Every way to ask, by name. The hundred are the oldest but one hundred, wherever that is in the list. */
async function toRequests(place: Place): Promise<Record<string, PlainRequest[]>> {
  const requests: Record<string, PlainRequest[]> = {};
  for (const noun of nouns) {
    const { what, prefix } = noun;
    const filters: Record<string, object> = {
      "the newest": {},
      "the newest disabled": { state: "disabled" },
      "all match": { query: prefix },
      "100 match": { query: `${prefix}00001` },
      "one matches": { query: `${prefix}0000123` },
      "disabled, of all": { query: prefix, state: "disabled" },
    };
    for (const [name, filter] of Object.entries(filters)) {
      requests[`${what}: ${name}`] = [toRequest(place, noun, filter)];
    }
    const middle = await findMiddleToken(place, noun, { query: prefix });
    requests[`${what}: all match, in the middle`] = [
      toRequest(place, noun, { query: prefix, page_token: middle }),
    ];
  }
  return requests;
}

function toRequest({ headers }: Place, { method }: Lists, message: object): PlainRequest {
  const body = JSON.stringify({ page_size: pageSize, ...message });
  return { method: "POST", path: `/vestibule.v1.${method}`, headers, body };
}

/** The token that a list gives out in its middle: that of its first page, moved on. */
async function findMiddleToken(place: Place, noun: Lists, filter: object): Promise<string> {
  const { method, path, headers, body } = toRequest(place, noun, filter);
  const answer = await fetch(`http://127.0.0.1:${place.server.port}${path}`, { method, headers, body });
  const { nextPageToken } = (await answer.json()) as { nextPageToken: string };
  const [check] = JSON.parse(Buffer.from(nextPageToken, "base64url").toString()) as [string];
  const middle = idOf(noun.kind, Math.floor(noun.count(place) / 2));
  return Buffer.from(JSON.stringify([check, middle])).toString("base64url");
}

async function compareBoth(load: LoadProcess, places: Both<Place>): Promise<string[][]> {
  const groups = { few: await toRequests(places.few), many: await toRequests(places.many) };
  const ports = { few: places.few.server.port, many: places.many.server.port };
  const taken = await sampleBoth(load, groups, ports, 20);
  return Object.keys(groups.many).map((name) => {
    const [fewMs, manyMs] = [costOf(taken.few, name), costOf(taken.many, name)];
    return [
      name,
      `${manyMs.toFixed(3)} ms`,
      `${fewMs.toFixed(3)} ms among 10³`,
      (manyMs / fewMs).toFixed(2),
      "≤ 1.3",
    ];
  });
}

/** Lists and searches among many beside the same among a thousand. */
export async function benchSearch(): Promise<Section> {
  const load = new LoadProcess();
  try {
    const rows = await withPlace(manyPeople, manyOrganizations, (manyPlace) =>
      withPlace(few, few, (fewPlace) => compareBoth(load, { few: fewPlace, many: manyPlace })),
    );
    return {
      title: "Search",
      columns: ["what", "Vestibule", "against", "ratio", "aim"],
      rows,
      note: `Server on one core, load from another process on the second. Pages of ${pageSize} of 10⁶ people and 10⁵ organizations by Connect JSON, beside the same among 10³ of each on another server, one connection, lower quartiles, both in turns. All addresses, or names, begin alike; one in twenty is disabled; what few match are among the oldest.`,
    };
  } finally {
    load.close();
  }
}
