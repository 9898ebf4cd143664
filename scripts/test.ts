/**
 * `npm test`: the whole suite, on both databases and in a real browser.
 * Arguments go through to vitest: `npm test -- server/src/tokens`. With
 * `--by-adapter` every call is answered as with `direct_calls: false`.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { buildIfStale } from "./build.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

try {
  await buildIfStale();
} catch {
  // The bundler has said what and where.
  console.log("The server does not build, so nothing was tested.\n0 passed, 1 failed");
  process.exit(1);
}
const vitest = fileURLToPath(new URL("./vitest.mjs", import.meta.resolve("vitest/package.json")));
const args = process.argv.slice(2);
const isByAdapter = args.includes("--by-adapter");
const run = spawnSync(process.execPath, [vitest, "run", ...args.filter((arg) => arg !== "--by-adapter")], {
  cwd: root,
  env: { ...process.env, ...(isByAdapter && { TEST_BY_ADAPTER: "1" }) },
  stdio: ["ignore", "inherit", "inherit"],
});
process.exitCode = run.status ?? 1;
