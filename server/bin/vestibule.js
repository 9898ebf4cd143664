#!/usr/bin/env node
// Written so that a Node far too old still parses it and can say so.
const parts = process.versions.node.split(".").map(Number);

if (parts[0] < 22 || (parts[0] === 22 && parts[1] < 18)) {
  process.stderr.write(`vestibule needs Node 22.18 or newer; this is ${process.versions.node}.\n`);
  process.exitCode = 1;
} else {
  import("./run.js");
}
