/**
 * `npm start`: builds what has changed and serves, in this same process, so
 * that signals and the exit code are the server's own. The `exec` of the npm
 * script is for that too: a shell in between would die of a SIGTERM and leave
 * the server behind. Arguments go through: `npm start -- --config other.yaml`.
 *
 * Of V8's settings in that script, one keeps the young generation small. The
 * other keeps it from collecting garbage halfway through a start, whose end
 * does that anyway.
 */
import { fileURLToPath } from "node:url";
import { buildIfStale } from "./build.ts";

const command = new URL("../server/bin/vestibule.js", import.meta.url);

await buildIfStale();
process.argv = [process.execPath, fileURLToPath(command), "serve", ...process.argv.slice(2)];
await import(command.href);
