/**
 * `npm run build`: bundles the server into `server/dist/bundle`, which is what
 * `npm start`, the whole-process tests and the published command run.
 *
 * It is one classic script, a function that `server/bin/run.js` calls: of such
 * a one V8 can keep for the next start every function that ran. Of an ES module
 * it keeps what is compiled before anything runs, and each start compiled some
 * two thousand functions anew. What is imported lazily is in it as well, and
 * not evaluated before somebody asks.
 */
import { isAscii } from "node:buffer";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Metafile, Plugin } from "esbuild";
import { lateFields } from "./late-fields.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const outDir = join(root, "server/dist/bundle");
const sources = join(root, "server/src");
const stampFile = join(outDir, "inputs.json");

// The program, and what of it checks the health of a server. Each is built into an expression whose value is a function
// of `require` and the address of the file.
const programs = ["check", "main"];
const bundleMain = join(outDir, "main.js");

// As in the modules that it was made of, the code is strict.
const head = '(function(require,importMetaUrl){"use strict";';
const foot = "})";

// Of libraries what a server never uses. Zod brings its messages in fifty languages, and all would be in memory; the
// library of metrics brings what sends them elsewhere, and with that node:https.
const unused: Plugin = {
  name: "unused",
  setup({ onLoad }) {
    onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
    }));
    onLoad({ filter: /prom-client[\\/]lib[\\/]pushgateway\.js$/ }, () => ({
      contents: "module.exports = undefined;",
    }));
  },
};

// An ES import of a module of Node's reads every one of its exports, whether anybody uses it or not. Of
// node:http one of them, WebSocket, loads all of undici as soon as it is read: 40 ms of a start, and memory,
// where nobody has asked for anything yet; those of the others cost some eight more. Here what is used is read.
// Those that a server may never need are not even loaded before they are used.
const lateBuiltins = new Set([
  "node:dns/promises",
  "node:fs/promises",
  "node:http2",
  "node:https",
  "node:tls",
]);

const usedBuiltins: Plugin = {
  name: "used-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:|http$)/ }, ({ kind, path }) =>
      // What is required reads nothing by itself; one that is imported later would come with its default export alone.
      kind === "import-statement"
        ? { path: path.replace(/^(?!node:)/, "node:"), namespace: "built-in", sideEffects: false }
        : undefined,
    );
    onLoad({ filter: /^/, namespace: "built-in" }, ({ path }) => {
      const exported = namesOf(process.getBuiltinModule(path) ?? {}).filter((name) => name !== "default");
      // Of CommonJS esbuild reads a property where it is used, instead of all where they are imported.
      if (lateBuiltins.has(path))
        return { contents: toLateModule(`process.getBuiltinModule(${JSON.stringify(path)})`, exported) };
      const lines = [
        `const all = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(path)});`,
        "const read = (name) => all[name];",
        ...exported.map((name) => `const ${name}_ = /* @__PURE__ */ read("${name}");`),
        `export { ${[...exported.map((name) => `${name}_ as ${name}`), "all as default"].join(", ")} };`,
      ];
      return { contents: lines.join("\n") };
    });
  },
};

// Libraries that a server may never need, evaluated when they are first used; of CommonJS, which can be at any time.
const lateLibraries: Plugin = {
  name: "late-libraries",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ajv/ }, ({ path, kind, resolveDir }) =>
      kind === "import-statement" ? { path, namespace: "late-library", pluginData: resolveDir } : undefined,
    );
    onLoad({ filter: /^/, namespace: "late-library" }, async ({ path, pluginData: resolveDir }) => ({
      contents: toLateModule(`require(${JSON.stringify(path)})`, Object.keys(await import(path))),
      resolveDir,
    }));
  },
};

// The library that holds messages against their rules compiles each rule that there is for a type of field as soon as
// one of that type has any, and then does most of them without: 150 ms of a start. Here a rule is compiled when it is used.
const usedRules: Plugin = {
  name: "used-rules",
  setup({ onLoad }) {
    onLoad({ filter: /@bufbuild[\\/]protovalidate[\\/]dist[\\/]esm[\\/]cel\.js$/ }, ({ path }) => {
      const eager = "compiled: this.compileRule(rule),";
      const lazy = "get compiled() { return (this.made ??= [manager.compileRule(rule)])[0]; },";
      const library = readFileSync(path, "utf8");
      const contents = library
        .replaceAll(eager, lazy)
        .replace("compileRulesUncached(descMessage) {", "$& const manager = this;");
      if (contents.split(lazy).length !== 3 || !contents.includes("{ const manager = this;")) {
        throw hasChanged(path, "usedRules");
      }
      return { contents };
    });
  },
};

// A first start makes its database by what the migrations come to, instead of by each of them.
const recordedSchema: Plugin = {
  name: "recorded-schema",
  setup({ onLoad }) {
    onLoad({ filter: /db[\\/]migrations[\\/]at-once\.ts$/ }, async () => {
      const { recordSchema } = await import("./recorded-schema.ts");
      return { contents: `export const recordedSchema = ${JSON.stringify(await recordSchema())};` };
    });
  },
};

/** The names of a module's exports that can be written as they are. */
function namesOf(module: object): string[] {
  return Object.keys(module).filter((name) => /^[a-z_$][\w$]*$/i.test(name));
}

function hasChanged(path: string, plugin: string): Error {
  return new Error(`${relative(root, path)} has changed: see whether ${plugin} is still needed`);
}

/** CommonJS that has the exports of another module, which an expression brings, and asks for it when one is read. */
function toLateModule(from: string, names: readonly string[]): string {
  return names
    .map(
      (name) =>
        `Object.defineProperty(exports, "${name}", { enumerable: true, get: () => ${from}.${name} });`,
    )
    .join("\n");
}

// What the pages load travels inside the bundle: a bundled file has nothing beside it to read.
const browserFiles: Plugin = {
  name: "browser-files",
  setup({ onLoad, esbuild }) {
    onLoad({ filter: /html[\\/]assets\.ts$/ }, ({ path }) => {
      const imports: string[] = [];
      const contents = readFileSync(path, "utf8").replace(
        /readFileSync\(new URL\(("[^"]+"), import\.meta\.url\), "utf8"\)/g,
        (_, file: string) => `text${imports.push(`import text${imports.length + 1} from ${file};`)}`,
      );
      return { contents: `${imports.join("\n")}\n${contents}`, loader: "ts" };
    });
    onLoad({ filter: /html[\\/]browser[\\/].*\.(css|js|svg)$/ }, async ({ path }) => {
      const text = readFileSync(path, "utf8");
      if (path.endsWith(".svg")) return { contents: text.trim(), loader: "text" };
      const loader = path.endsWith(".css") ? "css" : "js";
      const { code } = await esbuild.transform(text, { loader, minify: true, legalComments: "none" });
      return { contents: code, loader: "text" };
    });
  },
};

// esbuild escapes what it can; the text of a tagged template has to stay as it is written.
const notAscii =
  "not ASCII alone, so that V8 would hold twice its bytes for as long as the server runs: " +
  "write an entity or an escape in the template that has it";

/** What a bundle was made of: a file's path from the root → its size, time of change and hash. */
interface Stamp {
  readonly [path: string]: { readonly bytes: number; readonly mtimeMs: number; readonly sha256: string };
}

/**
 * Bundles the server when a file that went into the last bundle, the lockfile
 * or this script has changed since, or when there is no bundle.
 *
 * Safe when several processes do it at once: files appear whole, and a running
 * server has read its own.
 *
 * @returns true when it built.
 */
export async function buildIfStale(): Promise<boolean> {
  if (isFresh()) return false;
  await build();
  return true;
}

/** Bundles the server and returns what went into it. */
export async function build(): Promise<Metafile> {
  const esbuild = await import("esbuild");
  const beganAtMs = Date.now();
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: programs.map((name) => join(sources, `${name}.ts`)),
    outdir: outDir,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node22",
    define: { "import.meta.url": "importMetaUrl" },
    external: ["better-sqlite3", "pg-native"],
    plugins: [unused, usedBuiltins, lateLibraries, usedRules, lateFields, recordedSchema, browserFiles],
    banner: { js: head },
    footer: { js: foot },
    // Less to read and to keep in memory; names stay, and lines short enough for a stack trace.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    legalComments: "external",
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  // Its service would stay for as long as the server that was built for.
  await esbuild.stop();
  for (const { path, contents } of result.outputFiles) {
    const isScript = path.endsWith(".js");
    if (isScript && !isAscii(contents)) throw new Error(`${relative(root, path)}: ${notAscii}`);
    writeWhole(path, isScript ? withHash(contents) : contents);
  }
  writeWhole(stampFile, JSON.stringify(stampOf(Object.keys(result.metafile.inputs), beganAtMs)));
  return result.metafile;
}

/** Says before all else which script this is, so that what V8 keeps of it is used for no other; see `bin/run.js`. */
function withHash(script: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update(script).digest("hex");
  return Buffer.concat([Buffer.from(`/*${hash}*/`), script]);
}

function writeWhole(path: string, contents: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

function stampOf(inputs: readonly string[], beganAtMs: number): Stamp {
  const paths = [
    ...inputs.filter((path) => existsSync(join(root, path))),
    "package-lock.json",
    "scripts/build.ts",
    "scripts/late-fields.ts",
    "scripts/recorded-schema.ts",
  ];
  return Object.fromEntries(paths.map((path) => [path, stampFor(path, beganAtMs)]));
}

/** Of a file that was changed while it was read nobody knows which of its states is in the bundle. */
function stampFor(path: string, beganAtMs: number): Stamp[string] {
  const { size, mtimeMs } = statSync(join(root, path));
  return { bytes: size, mtimeMs, sha256: mtimeMs < beganAtMs ? hashOf(path) : "changed" };
}

function hashOf(path: string): string {
  return createHash("sha256")
    .update(readFileSync(join(root, path)))
    .digest("base64url");
}

function isFresh(): boolean {
  if (!existsSync(bundleMain) || !existsSync(stampFile)) return false;
  const stamp = JSON.parse(readFileSync(stampFile, "utf8")) as Stamp;
  return Object.entries(stamp).every(([path, was]) => {
    const now = statSync(join(root, path), { throwIfNoEntry: false });
    if (now?.size !== was.bytes) return false;
    if (was.sha256 === "changed") return false;
    return now.mtimeMs === was.mtimeMs || hashOf(path) === was.sha256;
  });
}

/** Removes what older bundles have left. Not before the new one is whole: a build that fails leaves the old one. */
function removeOlder(metafile: Metafile): void {
  const made = new Set([...Object.keys(metafile.outputs).map((path) => join(root, path)), stampFile]);
  for (const entry of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isDirectory() && !made.has(path)) rmSync(path);
  }
}

/** One line per bundled package, heaviest first: its bytes in the bundle, version and license. */
function weights(metafile: Metafile): string[] {
  const bytesByPackage = new Map<string, number>();
  const inputs = metafile.outputs[relative(root, bundleMain)]?.inputs ?? {};
  for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
    if (/^(built-in|late-library):/.test(path)) continue;
    const name = packageOf(path);
    bytesByPackage.set(name, (bytesByPackage.get(name) ?? 0) + bytesInOutput);
  }
  return [...bytesByPackage]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${(bytes / 1024).toFixed(1).padStart(9)} KiB  ${describe(name)}`);
}

function packageOf(path: string): string {
  const from = path.lastIndexOf("node_modules/");
  if (from < 0) return dirname(path).split("/")[0] ?? path;
  const [scope = "", name = ""] = path.slice(from + "node_modules/".length).split("/");
  return `${path.slice(0, from)}node_modules/${scope.startsWith("@") ? `${scope}/${name}` : scope}`;
}

function describe(folder: string): string {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    license?: string;
  };
  return `${manifest.name} ${manifest.version} (${manifest.license ?? "no license stated"})`;
}

if (import.meta.main) {
  const startedAt = performance.now();
  const metafile = await build();
  removeOlder(metafile);
  for (const line of weights(metafile)) console.log(line);
  const start = metafile.outputs[relative(root, bundleMain)];
  console.log(
    `start-up file ${((start?.bytes ?? 0) / 1024).toFixed(0)} KiB, built in ${Math.round(performance.now() - startedAt)} ms`,
  );
  console.log(relative(resolve("."), outDir));
}
