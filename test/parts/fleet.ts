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
  /** Stops one server after the other by turns, as an update would, and starts it again. */
  restartNext(): Promise<void>;
  startLoad(options: LoadOptions): Load;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LoadOptions {
  /** Each has one connection, which it keeps. */
  readonly clients: number;
  /** Requests a second, of all together; every second one is a POST. */
  readonly perSecond: number;
}

/** Requests that go on until they are stopped. */
export interface Load {
  stop(): Promise<LoadResult>;
}

export interface LoadResult {
  /** How many had the answer that they should have, and how many of those were POSTs. */
  readonly answered: number;
  readonly posts: number;
  /** What became of each other. */
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** Starts two servers over the state, and the proxy. */
export async function startFleet(name: ProxyName, state: ServerState): Promise<Fleet> {
  const ports = [await findFreePort(), await findFreePort(), await findFreePort()] as const;
  const [block = ""] = readBlocks("docs/proxies.md", name);
  const config = block.replaceAll(
    /127\.0\.0\.1:740([012])/g,
    (_, index) => `127.0.0.1:${ports[Number(index) as 0 | 1 | 2]}`,
  );
  const start = (index: 1 | 2): Promise<TestServer> =>
    startServer({
      state,
      port: ports[index],
      env: { VESTIBULE_PUBLIC_URL: "https://id.example.com", VESTIBULE_TRUSTED_PROXIES: "127.0.0.1" },
      // The default, which the page is written for.
      config: { shutdown: { grace: "5s" } },
    });
  const servers = { 1: await start(1), 2: await start(2) };
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
    async restartNext() {
      const index = next;
      next = index === 1 ? 2 : 1;
      const code = await servers[index].stop();
      if (code !== 0) throw new Error(`a server ended with ${code}:\n${servers[index].stderr()}`);
      servers[index] = await start(index);
      await sleep(noticeMs);
    },
    startLoad: (options) => startLoad(url, state, options),
    [Symbol.asyncDispose]: dispose,
  };
}

function startLoad(url: string, state: ServerState, { clients, perSecond }: LoadOptions): Load {
  const beganAtMs = performance.now();
  const counts = { answered: 0, posts: 0 };
  const failures: string[] = [];
  let isStopped = false;
  const everyMs = (clients * 1000) / perSecond;
  const runClient = async (index: number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !isStopped; turn += 1) {
      const isPost = (turn + index) % 2 === 0;
      const outcome = await (isPost ? post(url, state, agent) : ask(url, agent)).catch(String);
      if (outcome === 200) counts.answered += 1;
      else failures.push(`${isPost ? "POST" : "GET"}: ${outcome}`);
      if (outcome === 200 && isPost) counts.posts += 1;
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
      return { ...counts, failures, seconds: (performance.now() - beganAtMs) / 1000 };
    },
  };
}

const ask = (url: string, agent: Agent) => exchange(`${url}/.well-known/jwks.json`, { agent });

const post = (url: string, state: ServerState, agent: Agent) =>
  exchange(
    `${url}/vestibule.v1.AuthService/AuthToken`,
    { agent, method: "POST", headers: { "content-type": "application/json", ...basic(state) } },
    "{}",
  );

/** The status of an answer that has come whole, and its text if it is no 200. No request has a second try. */
function exchange(url: string, options: object, body = ""): Promise<number | string> {
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("error", reject);
      answer.on("end", () => resolve(answer.statusCode === 200 ? 200 : `${answer.statusCode} ${text}`));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
