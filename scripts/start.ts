/**
 * `npm start`: builds what has changed and serves, in this same process, so
 * that signals and the exit code are the server's own. The `exec` of the npm
 * script is for that too: a shell in between would die of a SIGTERM and leave
 * the server behind. Arguments go through: `npm start -- --config other.yaml`.
 */
import { pathToFileURL } from "node:url";
import { buildIfStale, bundleMain } from "./build.ts";

await buildIfStale();
process.argv = [process.execPath, bundleMain, "serve", ...process.argv.slice(2)];
await import(pathToFileURL(bundleMain).href);
