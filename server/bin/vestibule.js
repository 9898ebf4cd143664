#!/usr/bin/env node
import { mkdirSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";
import v8 from "node:v8";

// Written so that a Node far too old still parses it and can say so.
const parts = process.versions.node.split(".").map(Number);

if (parts[0] < 22 || (parts[0] === 22 && parts[1] < 18)) {
  process.stderr.write(`vestibule needs Node 22.18 or newer; this is ${process.versions.node}.\n`);
  process.exitCode = 1;
} else {
  // By default V8 lets garbage grow to three times what is alive before it collects: under load
  // that was 50 MiB more, and no request the faster for it.
  v8.setFlagsFromString("--heap-growing-percent=50");
  // Of a request's objects next to none outlive it: one thread is done with a young generation in a
  // third of a millisecond. Several spend up to five on each other where they share a core.
  v8.setFlagsFromString("--no-parallel-scavenge");
  // Where thousands of requests wait, V8 sees their objects live long and puts new ones among the old.
  // From there they keep alive whatever they name, so that from then on every request is copied twice.
  v8.setFlagsFromString("--no-allocation-site-pretenuring");
  // A start is over before code made by the optimising compilers pays for itself: without them it takes
  // a tenth less. From when one is over they do their work, with what was compiled by then kept as it is.
  const compilers = ["opt", "maglev"];
  for (const name of compilers) v8.setFlagsFromString(`--no-${name}`);
  setTimeout(() => {
    module.flushCompileCache();
    for (const name of compilers) v8.setFlagsFromString(`--${name}`);
  }, 1000).unref();
  // Beside the code itself, so that only who may change the code may change what is made of it, whatever
  // new files may be (umask(2)); where that folder is not writable there is no cache.
  const cache = fileURLToPath(new URL("../dist/compile-cache", import.meta.url));
  try {
    mkdirSync(cache, { mode: 0o700 });
  } catch {
    // It is there, or cannot be.
  }
  module.enableCompileCache(cache);
  import("../dist/bundle/main.js").catch((error) => {
    const notBuilt = error.code === "ERR_MODULE_NOT_FOUND" && /dist.bundle.main\.js/.test(error.message);
    process.stderr.write(notBuilt ? "vestibule is not built: run `npm run build`.\n" : `${error.stack}\n`);
    process.exitCode = 1;
  });
}
