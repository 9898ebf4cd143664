/** What the gate leaves in memory of the credentials that it was shown: as they were sent, none that lets nobody in. */
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";

/** Asks nginx's question by a connection that stays, and answers the status. */
async function ask(socket: Socket, { id, proxyToken }: TestFrontdoor, apiKey: string): Promise<number> {
  const lines = [
    ...[`GET /frontdoor/${id}/gate/nginx HTTP/1.1`, "Host: gate", `X-Vestibule-Proxy-Token: ${proxyToken}`],
    ...[`X-Original-URL: https://${hostname}/`, "X-Original-Method: GET", `X-API-Key: ${apiKey}`],
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const [answer] = (await once(socket, "data")) as [Buffer];
  return Number(answer.toString("latin1").split(" ")[1]);
}

/** All texts that a server has in memory, garbage left out. @param folder where its snapshots go */
async function listTexts({ pid }: TestServer, folder: string): Promise<readonly string[]> {
  const before = new Set(readdirSync(folder));
  process.kill(pid, "SIGUSR2");
  return await vi.waitFor(
    () => {
      const [name = ""] = readdirSync(folder).filter((each) => !before.has(each));
      // Half written it is no JSON.
      return JSON.parse(readFileSync(join(folder, name), "utf8")).strings as string[];
    },
    { timeout: 60_000, interval: 500 },
  );
}

it("is no credential that was refused, that holds no longer or whose connection is over", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-heap-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(folder, { recursive: true }));
  const options = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}`;
  const server = stack.use(await startServer({ env: { NODE_OPTIONS: options } }));
  const frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  const open = async () => {
    const socket = connect(server.port, "127.0.0.1");
    stack.defer(() => void socket.destroy());
    await once(socket, "connect");
    return socket;
  };
  const keys = `/frontdoor/${frontdoor.id}/auth-providers/${frontdoor.keyProviderId}/api-keys`;
  const create = (title: string) => frontdoor.call("POST", keys, { title });
  const [revoked, former] = [await create("revoked"), await create("former")];
  const refused = `${frontdoor.apiKey.slice(0, -1)}${frontdoor.apiKey.endsWith("A") ? "B" : "A"}`;

  expect(await ask(await open(), frontdoor, refused)).toBe(401);
  const kept = await open();
  expect(await ask(kept, frontdoor, revoked.key)).toBe(200);
  await frontdoor.call("DELETE", `${keys}/${revoked.id}`);
  expect(await ask(kept, frontdoor, revoked.key)).toBe(401);
  const ended = await open();
  expect(await ask(ended, frontdoor, former.key)).toBe(200);
  expect(await ask(ended, frontdoor, former.key)).toBe(200);
  ended.destroy();

  // Again where it is sooner than the server's notice of the end.
  await vi.waitFor(
    async () => {
      const texts = await listTexts(server, folder);
      const isThere = (text: string) => texts.some((each) => each.includes(text));
      expect(isThere(hostname)).toBe(true);
      expect([refused, revoked.key, former.key].map(isThere)).toEqual([false, false, false]);
    },
    { timeout: 90_000, interval: 500 },
  );
}, 120_000);
