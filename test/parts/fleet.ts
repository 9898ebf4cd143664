/** Two servers on one Postgres behind a proxy that is set up as the documentation says, and who uses them. */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { readBlocks } from "./documentation.ts";
import { basic } from "./http.ts";
import { type ProxyName, startProxy, type TestProxy } from "./proxies.ts";
import { findFreePort, type ServerState, startServer, type TestServer } from "./server.ts";

/** How long a proxy may take to notice that a server is back, in milliseconds: it asks every second, on a busy machine. */
const noticeMs = 4_000;

/** A running fleet. */
export interface Fleet {
  readonly url: string;
  /** Stops one server after the other by turns, as an update would, and starts it again, or another program in its place. */
  restartNext(command?: string): Promise<void>;
  /** Who serves now. */
  servers(): readonly [TestServer, TestServer];
  startLoad(options: LoadOptions): Load;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LoadOptions {
  /** Each has one connection, which it keeps. */
  readonly clients: number;
  /** Requests a second, of all together. */
  readonly perSecond: number;
  /** What they ask by turns; default a token by POST, and the keys. */
  readonly asks?: readonly Ask[];
}

/** A request by an agent, that keeps its connection. Rejects for an answer that is not as it should be. */
export type Ask = (url: string, agent: Agent) => Promise<unknown>;

/** Requests that go on until they are stopped. */
export interface Load {
  stop(): Promise<LoadResult>;
}

export interface LoadResult {
  /** How many had the answer that they should have, and how many that were of each ask. */
  readonly answered: number;
  readonly byAsk: readonly number[];
  /** What became of each other. */
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** Starts two servers over the state, and the proxy. @param command of another program, as `startServer` takes it */
export async function startFleet(name: ProxyName, state: ServerState, command?: string): Promise<Fleet> {
  const ports = [await findFreePort(), await findFreePort(), await findFreePort()] as const;
  const [block = ""] = readBlocks("docs/proxies.md", name);
  const config = block.replaceAll(
    /127\.0\.0\.1:740([012])/g,
    (_, index) => `127.0.0.1:${ports[Number(index) as 0 | 1 | 2]}`,
  );
  const start = (index: 1 | 2, program?: string): Promise<TestServer> =>
    startServer({
      state,
      command: program,
      port: ports[index],
      env: { VESTIBULE_PUBLIC_URL: "https://id.example.com", VESTIBULE_TRUSTED_PROXIES: "127.0.0.1" },
      // The default, which the page is written for.
      config: { shutdown: { grace: "5s" } },
    });
  const servers = { 1: await start(1, command), 2: await start(2, command) };
  let proxy: TestProxy | undefined;
  const dispose = async () => {
    await proxy?.[Symbol.asyncDispose]();
    await Promise.all([servers[1].kill(), servers[2].kill()]);
  };
  try {
    proxy = await startProxy(name, config, ports[0]);
  } catch (error) {
    await dispose();
    throw error;
  }
  const { url } = proxy;
  let next: 1 | 2 = 1;
  return {
    url,
    servers: () => [servers[1], servers[2]],
    async restartNext(program) {
      const index = next;
      next = index === 1 ? 2 : 1;
      const code = await servers[index].stop();
      if (code !== 0) throw new Error(`a server ended with ${code}:\n${servers[index].stderr()}`);
      servers[index] = await start(index, program);
      await sleep(noticeMs);
    },
    startLoad: (options) => startLoad(url, state, options),
    [Symbol.asyncDispose]: dispose,
  };
}

function startLoad(
  url: string,
  state: ServerState,
  { clients, perSecond, asks = [(at, agent) => askToken(at, state, agent), askKeys] }: LoadOptions,
): Load {
  const beganAtMs = performance.now();
  const byAsk = asks.map(() => 0);
  const failures: string[] = [];
  let isStopped = false;
  const everyMs = (clients * 1000) / perSecond;
  const runClient = async (index: number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !isStopped; turn += 1) {
      const which = (turn + index) % asks.length;
      try {
        await asks[which]?.(url, agent);
        byAsk[which] = (byAsk[which] ?? 0) + 1;
      } catch (error) {
        failures.push(`ask ${which}: ${error}`);
      }
      const dueAtMs = beganAtMs + (turn + index / clients) * everyMs;
      await sleep(Math.max(0, dueAtMs - performance.now()));
    }
    agent.destroy();
  };
  const running = Array.from({ length: clients }, (_, index) => runClient(index));
  return {
    async stop() {
      isStopped = true;
      await Promise.all(running);
      const answered = byAsk.reduce((sum, count) => sum + count, 0);
      return { answered, byAsk, failures, seconds: (performance.now() - beganAtMs) / 1000 };
    },
  };
}

/** The keys that tokens are verified by. */
export const askKeys = (url: string, agent: Agent) => exchange(`${url}/.well-known/jwks.json`, { agent });

/** A call by Connect's JSON. */
export const askCall = (
  url: string,
  method: string,
  message: object,
  headers: Readonly<Record<string, string>>,
  agent: Agent,
) =>
  exchange(
    `${url}/vestibule.v1.${method}`,
    { agent, method: "POST", headers: { "content-type": "application/json", ...headers } },
    JSON.stringify(message),
  );

const askToken = (url: string, state: ServerState, agent: Agent) =>
  askCall(url, "AuthService/AuthToken", {}, basic(state), agent);

/** The JSON of an answer that has come whole. No request has a second try. @throws Error for what is no 200 */
// biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
export function exchange(url: string, options: object, body = ""): Promise<any> {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("error", reject);
      answer.on("end", () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${answer.statusCode} ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
