/** Runs Connect's conformance suite; see `conformance.ts` beside this folder. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PartContext } from "../../parts/part.ts";
import { runProgram } from "../../parts/program.ts";
import { findGoModule, installGoTool } from "../../parts/toolchains.ts";

const module = "connectrpc.com/conformance";
const version = "v1.0.7";

const features = {
  versions: ["HTTP_VERSION_1", "HTTP_VERSION_2"],
  protocols: ["PROTOCOL_CONNECT", "PROTOCOL_GRPC", "PROTOCOL_GRPC_WEB"],
  codecs: ["CODEC_PROTO", "CODEC_JSON"],
  compressions: ["COMPRESSION_IDENTITY", "COMPRESSION_GZIP"],
  supports_h2c: true,
  supports_tls: true,
  supports_trailers: true,
  supports_connect_get: true,
  supports_message_receive_limit: true,
};

/** What the suite must have run at least, so that no change of its options leaves half of it out. */
const leastCases = 3_600;

/** @param env variables of the server under test. Says how many configurations there were. */
export async function runSuite(context: PartContext, env: Readonly<Record<string, string>>): Promise<string> {
  const suite = await installGoTool(`${module}/cmd/connectconformance@${version}`);
  const schemas = join(await findGoModule(`${module}@${version}`), "proto");
  const image = join(context.scratch, "suite.binpb");
  const built = await runProgram("buf", ["build", schemas, "-o", image]);
  assert.equal(built.code, 0, built.stderr);
  const config = join(context.scratch, "config.yaml");
  // JSON is YAML.
  writeFileSync(config, JSON.stringify({ features }));
  const server = [process.execPath, join(import.meta.dirname, "server.ts"), image];
  const ran = await runProgram(
    suite,
    ["--mode=server", `--conf=${config}`, "--max-servers=2", "-v", "--", ...server],
    // It gives a server ten seconds to start.
    { signal: context.signal, env: { ...env, NODE_COMPILE_CACHE: join(context.scratch, "compiled") } },
  );
  const printed = ran.stdout + ran.stderr;
  const failures = [...printed.matchAll(/^FAILED: (.*(?:\n\t.*)*)/gm)].map(([, text = ""]) => text);
  const passed = Number(/^(\d+) passed, /m.exec(printed)?.[1] ?? 0);
  context.count(passed, failures);
  await context.check("it ran to its end, and all of it", () => {
    assert.equal(ran.code, failures.length > 0 ? 1 : 0, printed);
    assert.ok(passed + failures.length >= leastCases, printed);
  });
  const configurations = [...printed.matchAll(/^Running (\d+) tests with .* server config #/gm)];
  return `${configurations.length} configurations`;
}
