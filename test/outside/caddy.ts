/**
 * A current Caddy before an app behind the gate, by the file that is printed
 * for it: versions differ in what they make of a header that an answer lacks.
 */
import assert from "node:assert/strict";
import { startGatedApp } from "../parts/gate.ts";
import { replayCorpus } from "../parts/gate-corpus.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { installGoTool } from "../parts/toolchains.ts";

const version = "v2.11.9";

const part: Part = {
  needs: ["go"],
  // Compiling it takes minutes, once.
  quick: false,
  async run(context: PartContext) {
    const path = await installGoTool(`github.com/caddyserver/caddy/v2/cmd/caddy@${version}`);
    process.env.CADDY_PATH = path;
    await using app = await startGatedApp("caddy");
    await context.check("a machine comes in by its key", async () => {
      const lines = [`Host: ${app.host}`, `X-API-Key: ${app.frontdoor.apiKey}`, "Connection: close"];
      const { status, text } = await app.send(`GET /app HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      assert.equal(status, 200, text);
    });
    await replayCorpus(app, (name, run) => context.check(name, run));
    return `Caddy ${version}`;
  },
};

export default part;
