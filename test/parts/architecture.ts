/**
 * Reads what every module of a source tree imports and touches, and holds it
 * against the rules of the house. Type-only imports count like any other: they
 * tie two files together for whoever reads them.
 *
 * A room is a folder directly under the root, a folder in it that has a row of
 * its own, or a file of the root without its ending. Tests and their
 * `test-support.ts` are not read: they may set up anything.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { parseAst } from "vitest/node";

/** One source file, its path relative to the root, with forward slashes. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** Room → the rooms whose files it may import, besides its own. */
export type Rooms = Readonly<Record<string, readonly string[]>>;

/** What the rules look at in one module. */
export interface Module {
  readonly path: string;
  readonly room: string;
  /** Paths of the modules of the same tree that it imports. */
  readonly imports: readonly string[];
  /** Names as written of what it imports from packages, or from outside the tree. */
  readonly foreign: readonly string[];
  readonly readsEnvironment: boolean;
  readonly usesConsole: boolean;
}

/** Reads every `.ts` and `.tsx` file below `root` that serves: no test, and nothing that only tests import. */
export function readSources(root: string): Source[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => /\.tsx?$/.test(path) && !/(\.test|\.d|(^|\/)test-support)\.tsx?$/.test(path))
    .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

/** Every break of the rules in the tree, one sentence each; none when all is well. */
export function findViolations(sources: readonly Source[], rooms: Rooms): string[] {
  const modules = sources.map((source) => toModule(source, rooms));
  return [
    ...modules.flatMap((module) => roomViolations(module, rooms)),
    ...modules.flatMap(contentViolations),
    ...circles(modules).map((files) => `import circle: ${files.join(" → ")}`),
  ];
}

/** Permissions of the table that no import uses, and rows of rooms that do not exist, a sentence each. */
export function findUnusedPermissions(sources: readonly Source[], rooms: Rooms): string[] {
  const used = new Map<string, Set<string>>();
  for (const { room, imports } of sources.map((source) => toModule(source, rooms))) {
    const known = used.get(room) ?? new Set();
    for (const path of imports) known.add(roomOf(path, rooms));
    used.set(room, known);
  }
  return Object.entries(rooms).flatMap(([room, allowed]) => {
    const known = used.get(room);
    if (known === undefined) return [`there is no room ${room}`];
    return allowed.filter((other) => !known.has(other)).map((other) => `${room} does not use ${other}`);
  });
}

/**
 * Parts that nobody builds, a sentence each: a class or function that a module
 * exports and neither another nor it itself uses, and a room that is put
 * together and added neither to the house nor to the room around it.
 */
export function findUnwired(sources: readonly Source[]): string[] {
  const uses = sources.flatMap(importedNames);
  const isUsed = (path: string, name: string) =>
    uses.some((use) => use.path === path && (use.name === name || use.name === "*"));
  const unused = sources.flatMap((source) =>
    exportedParts(source)
      .filter((name) => !isUsed(source.path, name))
      .map((name) => `${source.path}: ${name} is used by nothing that serves`),
  );
  return [...unused, ...sources.flatMap(findUnadded)];
}

/** Calls of `assemble…` whose room goes neither into the house nor among the `rooms` of the one around it. */
function findUnadded(source: Source): string[] {
  const built: Node[] = [];
  const added: Node[] = [];
  const variables = new Map<unknown, Node>();
  visit(parse(source), (node) => {
    if (node.type === "VariableDeclarator") variables.set((node.id as Node).name, node.init as Node);
    if (node.type === "Property" && isIdentifier(node.key, "rooms") && isNode(node.value)) {
      added.push(...((node.value.elements ?? []) as Node[]));
    }
    if (node.type !== "CallExpression") return;
    const callee = node.callee as Node;
    // The edge is no room: it shows what is in the house.
    if (/^assemble(?!Edge$)/.test(String(callee.name))) built.push(node);
    if (isIdentifier(callee.property, "add")) added.push(...(node.arguments as Node[]));
  });
  const isIn = added.map((room) => {
    const value = room.type === "Identifier" ? variables.get(room.name) : room;
    return value?.type === "AwaitExpression" ? value.argument : value;
  });
  return built
    .filter((room) => !isIn.includes(room))
    .map(({ callee }) => `${source.path}: ${(callee as Node).name} is not added to the house`);
}

/** Names that a module imports of others in the tree; `*` for all. */
function importedNames(source: Source): { readonly path: string; readonly name: string }[] {
  const found: { path: string; name: string }[] = [];
  visit(parse(source), (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined || !specifier.startsWith(".")) return;
    const path = posix.join(posix.dirname(source.path), specifier);
    const names = ((node.specifiers ?? []) as Node[]).map(({ imported, local }) => imported ?? local);
    const isWhole =
      names.length === 0 || (node.specifiers as Node[]).some(({ type }) => /Namespace/.test(type));
    for (const name of isWhole ? ["*"] : names.map((each) => String((each as Node).name)))
      found.push({ path, name });
  });
  return found;
}

/** Classes and functions that a module exports where they stand, and does not use itself. */
function exportedParts(source: Source): string[] {
  const found: string[] = [];
  const mentions = new Map<string, number>();
  visit(parse(source), (node) => {
    if (node.type === "Identifier")
      mentions.set(String(node.name), (mentions.get(String(node.name)) ?? 0) + 1);
    if (node.type !== "ExportNamedDeclaration" || !isNode(node.declaration)) return;
    const { type, id } = node.declaration;
    if (/^(ClassDeclaration|FunctionDeclaration)$/.test(type) && isNode(id)) found.push(String(id.name));
  });
  return found.filter((name) => mentions.get(name) === 1);
}

/** Functions longer than `most` lines, a sentence each. */
export function findLongFunctions(sources: readonly Source[], most: number): string[] {
  return sources.flatMap((source) => {
    const lineAt = (offset: unknown) => source.text.slice(0, Number(offset)).split("\n").length;
    const found: string[] = [];
    visit(parse(source), (node) => {
      if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) return;
      const line = lineAt(node.start);
      const lines = lineAt(node.end) - line + 1;
      if (lines > most) found.push(`${source.path}:${line}: a function of ${lines} lines`);
    });
    return found;
  });
}

function roomViolations(module: Module, rooms: Rooms): string[] {
  const allowed = rooms[module.room];
  if (allowed === undefined) return [`${module.path}: room ${module.room} is not in the table`];
  return module.imports
    .filter((path) => roomOf(path, rooms) !== module.room && !allowed.includes(roomOf(path, rooms)))
    .map((path) => `${module.path} imports ${path}: ${module.room} may not know ${roomOf(path, rooms)}`);
}

function contentViolations(module: Module): string[] {
  const file = posix.basename(module.path);
  const isStore = /(^|-)store\.ts$/.test(file);
  const isService = /(^|-)service\.ts$/.test(file);
  const found = module.imports
    .filter((path) => posix.basename(path) === "test-support.ts")
    .map((path) => `${module.path} imports ${path}, which is for tests`);
  for (const name of module.foreign) {
    if (name.startsWith(".")) found.push(`${module.path} imports ${name}, which is outside the tree`);
    if (isPackage(name, "kysely") && !isStore && !/^(db|changes)(\/|$)/.test(module.room)) {
      found.push(`${module.path} imports ${name}: only stores know Kysely`);
    }
    if ((isStore || isService) && /^(@bufbuild|@connectrpc|@vestibule\/proto)(\/|$)/.test(name)) {
      found.push(`${module.path} imports ${name}: only handlers and the edge know the wire`);
    }
  }
  // The command line hands its environment to config; config reads it.
  if (module.readsEnvironment && !["config", "command-line"].includes(module.room)) {
    found.push(`${module.path} reads process.env: only config does`);
  }
  if (module.usesConsole) found.push(`${module.path} uses console: log with the logger it is given`);
  return found;
}

function isPackage(name: string, wanted: string): boolean {
  return name === wanted || name.startsWith(`${wanted}/`);
}

/** The innermost folder on the path that has a row, else the outermost. */
function roomOf(path: string, rooms: Rooms): string {
  if (!path.includes("/")) return path.replace(/\.ts$/, "");
  for (let folder = posix.dirname(path); folder !== "."; folder = posix.dirname(folder)) {
    if (Object.hasOwn(rooms, folder)) return folder;
  }
  return path.slice(0, path.indexOf("/"));
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

function toModule(source: Source, rooms: Rooms): Module {
  const specifiers: string[] = [];
  let readsEnvironment = false;
  let usesConsole = false;
  visit(parse(source), (node) => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) specifiers.push(specifier);
    readsEnvironment ||= isEnvironment(node);
    usesConsole ||= node.type === "MemberExpression" && isIdentifier(node.object, "console");
  });
  const folder = posix.dirname(source.path);
  const targets = specifiers.map((name) => (name.startsWith(".") ? posix.join(folder, name) : name));
  const isInside = (index: number): boolean =>
    (specifiers[index] ?? "").startsWith(".") && !(targets[index] ?? "").startsWith("../");
  return {
    path: source.path,
    room: roomOf(source.path, rooms),
    imports: targets.filter((_, index) => isInside(index)),
    foreign: specifiers.filter((_, index) => !isInside(index)),
    readsEnvironment,
    usesConsole,
  };
}

function parse({ path, text }: Source): Node {
  return parseAst(text, { lang: path.endsWith(".tsx") ? "tsx" : "ts" }) as unknown as Node;
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) for (const item of value) visit(item, see);
  else if (isNode(value)) {
    see(value);
    for (const child of Object.values(value)) visit(child, see);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Partial<Node>).type === "string";
}

function isIdentifier(value: unknown, name: string): boolean {
  return isNode(value) && value.type === "Identifier" && value.name === name;
}

const importingNodes = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

function specifierOf(node: Node): string | undefined {
  if (!importingNodes.has(node.type)) return undefined;
  const source = node.source;
  return isNode(source) && typeof source.value === "string" ? source.value : undefined;
}

/** `process.env` and `process["env"]`, `{ env } = process`, and Node's module of that name, which has it too. */
function isEnvironment(node: Node): boolean {
  if (specifierOf(node) === "node:process" || specifierOf(node) === "process") return true;
  if (node.type === "VariableDeclarator") {
    return isIdentifier(node.init, "process") && isNode(node.id) && node.id.type === "ObjectPattern";
  }
  if (node.type !== "MemberExpression" || !isIdentifier(node.object, "process")) return false;
  return isIdentifier(node.property, "env") || (isNode(node.property) && node.property.value === "env");
}

/** Each circle once, as the files along it, the first one repeated at the end. */
function circles(modules: readonly Module[]): string[][] {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const found: string[][] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) found.push([...trail.slice(seenAt), path]);
    if (seenAt >= 0 || done.has(path)) return;
    for (const next of byPath.get(path)?.imports ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const module of modules) walk(module.path, []);
  return found;
}
