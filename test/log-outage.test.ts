/** A log that cannot be written: the server goes on and counts what is lost. */
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const token = (server: TestServer) =>
  postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server));

async function readLost(server: TestServer): Promise<number> {
  const { text } = await send(`${server.url}/metrics`);
  return Number(/^vestibule_log_lines_lost_total (\d+)$/m.exec(text)?.[1]);
}

/** A pipe whose reader is this test, which reads when it likes. */
function openPipe(): { fd: number; read: () => string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-log-"));
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const bytes = Buffer.alloc(1024 * 1024);
  return {
    fd,
    read: () => bytes.toString("utf8", 0, readSync(fd, bytes)),
    remove: () => {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    },
  };
}

it.each(["json", "pretty"])("on a full disk does not end the process, in %s", async (format) => {
  const full = openSync("/dev/full", "w");
  await using server = await startServer({ output: full, config: { log: { format } } });
  closeSync(full);
  for (let requests = 0; requests < 5; requests++) expect((await token(server)).status).toBe(200);
  await expect.poll(() => readLost(server)).toBeGreaterThan(5);
  expect(await server.stop()).toBe(0);
});

it("to a reader that does not read holds up nobody, and goes on when it reads again", async () => {
  const pipe = openPipe();
  try {
    await using server = await startServer({ output: pipe.fd });
    // A pipe holds 64 KiB, a line has some 200 characters.
    for (let requests = 0; requests < 600; requests++) {
      expect((await send(`${server.url}/.well-known/jwks.json`)).status).toBe(200);
    }
    let text = "";
    await expect
      .poll(() => {
        try {
          text += pipe.read();
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
        }
        return text.split("\n").filter((line) => line.includes("jwks.json")).length;
      })
      .toBe(600);
    expect(await readLost(server)).toBe(0);
  } finally {
    pipe.remove();
  }
});
