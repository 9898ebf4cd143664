/**
 * Run by the build of a client in its folder: brings the generated code along
 * in `dist/proto` and has what was compiled import it from there, so that the
 * packed client is all that has to be installed.
 */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const generated = fileURLToPath(new URL("../gen/src", import.meta.url));
const dist = join(process.cwd(), "dist");
const target = join(dist, "proto");

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(js|d\.ts)$/.test(name),
  );
}

/** Copies a file and all that it imports beside it. @param name from the folder of the generated code */
function bring(name: string, brought: Set<string>): void {
  if (brought.has(name)) return;
  brought.add(name);
  const text = readFileSync(join(generated, name), "utf8");
  mkdirSync(dirname(join(target, name)), { recursive: true });
  copyFileSync(join(generated, name), join(target, name));
  const ending = name.endsWith(".d.ts") ? ".d.ts" : ".js";
  for (const [, imported = ""] of text.matchAll(/from "(\.{1,2}\/[^"]+?)(?:\.js)?"/g)) {
    bring(join(dirname(name), `${imported}${ending}`), brought);
  }
}

const compiled = listFiles(dist);
const brought = new Set<string>();
for (const name of listFiles(join(generated, "vestibule/v1"))) bring(join("vestibule/v1", name), brought);
for (const name of compiled) {
  const file = join(dist, name);
  const toProto = relative(dirname(file), target).replaceAll(sep, "/");
  const text = readFileSync(file, "utf8").replace(/"@vestibule\/proto\/([^"]+)"/g, (_, module: string) => {
    for (const ending of [".js", ".d.ts"]) bring(module + ending, brought);
    return `"${toProto}/${module}.js"`;
  });
  writeFileSync(file, text);
}
