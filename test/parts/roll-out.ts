/**
 * Two servers behind a proxy whose program is replaced by another one under
 * load, one server after the other, on one Postgres.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { decodeProtectedHeader } from "jose";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import { type Ask, askCall, askKeys, exchange, type Fleet, type LoadResult, startFleet } from "./fleet.ts";
import { toUrl } from "./full-state.ts";
import { basic, postJson, send } from "./http.ts";
import { Person } from "./person.ts";
import type { ProxyName } from "./proxies.ts";
import { createState, type ServerState, type TestServer } from "./server.ts";

/** Where a person's pages are, whichever server answers. */
const origin = "https://id.example.com";
const who = "AuthService/GetCurrentUser";

/** From which program to which, and what is done between its steps. */
export interface RollOut {
  readonly proxy: ProxyName;
  /** Program that serves first; undefined for ours, as in each step. */
  readonly from: string | undefined;
  /** One server is replaced by each, by turns. */
  readonly steps: readonly (string | undefined)[];
  readonly load: { readonly clients: number; readonly perSecond: number };
  /** While they serve side by side as they are after a step. */
  readonly between?: (step: number, fleet: Fleet) => Promise<void>;
}

/** What became of the load, and of what was written meanwhile. */
export interface RolledOut extends LoadResult {
  /** How many were acknowledged, and how many of those are not there. */
  readonly written: number;
  readonly lost: number;
}

/** Somebody who is signed in at a server of a fleet. */
export async function signInAt(server: TestServer, email: string): Promise<Person> {
  const person = new Person(server);
  person.headers = (extra = {}) => Person.prototype.headers.call(person, { origin, ...extra });
  await person.signIn(email);
  return person;
}

/** Rolls out, and asks all the while whether what was true before still is. */
export async function rollOut({ proxy, from, steps, load, between }: RollOut): Promise<RolledOut> {
  const state = await createState("postgres");
  try {
    await using fleet = await startFleet(proxy, state, from);
    const written: string[] = [];
    const asks = await createAsks(fleet.servers(), state, written);
    const sending = fleet.startLoad({ ...load, asks });
    for (const [step, command] of steps.entries()) {
      await fleet.restartNext(command);
      await between?.(step, fleet);
    }
    const result = await sending.stop();
    return { ...result, written: written.length, lost: await countLost(state, written) };
  } finally {
    await state.remove();
  }
}

/** What is asked again and again: each knows what the answer has to be. */
async function createAsks(
  [server, other]: readonly [TestServer, TestServer],
  state: ServerState,
  written: string[],
): Promise<readonly Ask[]> {
  const [{ kid }] = (await send(`${server.url}/.well-known/jwks.json`)).json.keys;
  const person = await signInAt(server, "ada@example.org");
  const { id } = (await person.call("GetCurrentUser")).json.user;
  const form = { "content-type": "application/x-www-form-urlencoded", ...basic(state) };
  const granted = await postJson(server, "/oauth2/token", "grant_type=client_credentials", form);
  const revoked: string = granted.json.access_token;
  await postJson(server, "/oauth2/revoke", `token=${revoked}`, form);
  // The other process hears of it within a second.
  const isActive = async () =>
    (await postJson(other, "/oauth2/introspect", `token=${revoked}`, form)).json.active;
  while (await isActive()) await sleep(20);
  const asRoot = basic(state);
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const machines = "ServiceUserService";
  return [
    async (url, agent) => {
      const { accessToken } = await askCall(url, "AuthService/AuthToken", {}, asRoot, agent);
      require(decodeProtectedHeader(accessToken).kid === kid, "a token of another key");
      require((await askCall(url, who, {}, bearer(accessToken), agent)).serviceuser !==
        undefined, "no machine");
    },
    async (url, agent) => {
      require((await askCall(url, who, {}, person.headers(), agent)).user.id === id, "somebody else");
    },
    async (url, agent) => {
      const body = { title: "machine" };
      const made = await askCall(
        url,
        `${machines}/CreateServiceUser`,
        { org_id: "default", body },
        asRoot,
        agent,
      );
      written.push(made.serviceuser.id);
      const of = { org_id: "default", id: made.serviceuser.id };
      const read = await askCall(url, `${machines}/GetServiceUser`, of, asRoot, agent);
      require(read.serviceuser.id === of.id && read.serviceuser.title === "machine", "another machine");
    },
    async (url, agent) => {
      const { active } = await exchange(
        `${url}/oauth2/introspect`,
        { agent, method: "POST", headers: form },
        `token=${revoked}`,
      );
      require(active === false, "a revoked token is active");
    },
    async (url, agent) => {
      const { keys } = await askKeys(url, agent);
      require(keys.some((key: { kid: string }) => key.kid === kid), "no key");
    },
  ];
}

function require(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(`a wrong answer: ${otherwise}`);
}

async function countLost(state: ServerState, ids: readonly string[]): Promise<number> {
  const database = await openDatabase({ url: toUrl(state), log: silentLog });
  try {
    const rows = await database.reader.selectFrom("service_users").select("id").execute();
    const there = new Set(rows.map((row) => row.id));
    return ids.filter((id) => !there.has(id)).length;
  } finally {
    await database.close();
  }
}
