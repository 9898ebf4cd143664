/** Python's grpcio, with code generated from our schemas, over clear text and TLS. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { tlsEnvironment } from "../parts/http.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { runProgram } from "../parts/program.ts";
import { startServer, type TestServer } from "../parts/server.ts";
import { installPython } from "../parts/toolchains.ts";

const folder = join(import.meta.dirname, "grpc-python");
const proto = join(import.meta.dirname, "../../proto");

/** Our own messages and protovalidate's; those of Google and gRPC come as packages. */
async function generate(python: string, context: PartContext): Promise<void> {
  const ours = readdirSync(join(proto, "vestibule/v1")).filter((name) => name.endsWith(".proto"));
  const { code, stderr } = await runProgram(
    python,
    [
      ...["-m", "grpc_tools.protoc", `-I${proto}`, `-I${join(proto, "third_party")}`],
      ...[`--python_out=${context.scratch}`, `--grpc_python_out=${context.scratch}`],
      ...ours.map((name) => `vestibule/v1/${name}`),
      "buf/validate/validate.proto",
    ],
    { signal: context.signal },
  );
  assert.equal(code, 0, stderr);
}

/** What the program prints: a case that is done, or what it wants to happen to the server. */
type Line = { readonly name: string; readonly failure: string | null } | { readonly tell: "stop" | "start" };

export default {
  needs: ["python"],
  async run(context) {
    const python = await installPython(join(folder, "requirements.txt"));
    await generate(python, context);
    await using server = await startServer();
    const { port, state, clientId, clientSecret } = server;
    await using secure = await startServer({
      env: {
        ...tlsEnvironment,
        VESTIBULE_BOOTSTRAP_CLIENT_ID: clientId,
        VESTIBULE_BOOTSTRAP_CLIENT_SECRET: clientSecret,
      },
    });
    const child = spawn(
      python,
      [
        join(folder, "calls.py"),
        ...[`localhost:${port}`, `localhost:${secure.port}`, tlsEnvironment.VESTIBULE_TLS_CERT],
        `${clientId}:${clientSecret}`,
      ],
      {
        env: { ...process.env, PYTHONPATH: context.scratch },
        stdio: ["pipe", "pipe", "pipe"],
        signal: context.signal,
      },
    );
    const ended = once(child, "close");
    const stderr = text(child.stderr);
    let again: TestServer | undefined;
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Line;
      if ("name" in line) {
        context.count(
          line.failure === null ? 1 : 0,
          line.failure === null ? [] : [`${line.name}: ${line.failure}`],
        );
        continue;
      }
      if (line.tell === "stop") await server.stop();
      else again = await startServer({ state, port });
      child.stdin.write(`${line.tell}\n`);
    }
    await again?.stop();
    const [code] = await ended;
    await context.check("it ran to its end", async () => assert.equal(code, 0, await stderr));
    return undefined;
  },
} satisfies Part;
