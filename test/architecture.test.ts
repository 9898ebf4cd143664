import { join } from "node:path";
import { expect, test } from "vitest";
import {
  findLongFunctions,
  findUnusedPermissions,
  findUnwired,
  findViolations,
  type Rooms,
  readSources,
} from "./parts/architecture.ts";

/**
 * Who knows whom, exactly: an import that is not here fails, and so does a
 * permission that nothing uses. A room that is missing here may not exist.
 * From the bottom up; a folder inside a room may have a row of its own.
 */
const rooms: Rooms = {
  lib: [],
  // Requests, answers and what is read of them, in whose terms the nouns declare their routes.
  http: ["lib"],
  // Pages: escaping templates, the frame and its headers, forms and their tokens.
  html: ["lib", "http"],
  // What a room offers the server, in whose terms each puts itself together.
  assembly: ["lib", "http"],
  config: ["lib", "http"],
  listener: ["lib"],
  mail: ["lib", "assembly", "config"],
  egress: ["lib", "http", "assembly", "config"],
  // Known by type from lib alone, as are its siblings to a process.
  processes: ["lib"],
  // Known by type from lib alone; loaded by the command that serves, when it is asked for.
  tracing: ["lib", "config"],
  db: ["lib", "assembly"],
  backup: ["lib", "assembly", "config", "db"],
  changes: ["lib", "assembly", "db"],
  moving: ["lib", "db", "changes"],
  encryption: ["lib", "db"],
  // Algorithms, keys, compact JWS: whoever reviews cryptography opens this.
  signatures: ["lib"],
  // The relying party of those who vouch for people: signing in stands on it, and the gate.
  openid: ["lib", "egress", "signatures"],
  principals: ["lib", "assembly", "signatures"],
  audit: ["lib", "http", "assembly", "db", "encryption", "principals"],
  limits: ["lib", "http", "assembly", "config", "db", "principals", "audit"],
  // Pictures of people and organizations, by what they are.
  avatars: ["lib", "http", "assembly", "db"],
  organizations: ["lib", "assembly", "db", "changes", "principals", "audit", "avatars"],
  "service-users": ["lib", "assembly", "db", "changes", "signatures", "principals", "audit", "organizations"],
  users: ["lib", "assembly", "config", "db", "changes", "principals", "audit", "avatars", "organizations"],
  invitations: ["lib", "assembly", "mail", "db", "changes", "principals", "audit", "organizations", "users"],
  "personal-tokens": ["lib", "assembly", "db", "changes", "principals", "audit", "organizations"],
  tokens: [
    "lib",
    "http",
    "assembly",
    "config",
    "db",
    "changes",
    "encryption",
    "signatures",
    "principals",
    "audit",
  ],
  sessions: ["lib", "http", "assembly", "config", "db", "changes", "principals", "audit"],
  passkeys: ["lib", "assembly", "db", "principals", "audit"],
  auth: [
    "lib",
    "http",
    "html",
    "assembly",
    "config",
    "mail",
    "egress",
    "db",
    "changes",
    "encryption",
    "openid",
    "principals",
    "audit",
    "limits",
    "users",
    "sessions",
    "passkeys",
  ],
  // What people do to their own accounts, over all that opens one.
  accounts: [
    "lib",
    "assembly",
    "config",
    "mail",
    "db",
    "changes",
    "encryption",
    "principals",
    "audit",
    "limits",
    "organizations",
    "users",
    "invitations",
    "sessions",
    "passkeys",
    "auth",
  ],
  "frontdoor/frontdoors": ["lib", "assembly", "db", "changes", "principals", "audit", "organizations"],
  "frontdoor/provider-types": [
    "lib",
    "http",
    "assembly",
    "egress",
    "signatures",
    "openid",
    "principals",
    "frontdoor/frontdoors",
  ],
  "frontdoor/providers": [
    "lib",
    "http",
    "assembly",
    "db",
    "changes",
    "encryption",
    "principals",
    "audit",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
  ],
  "frontdoor/api-keys": [
    "lib",
    "assembly",
    "db",
    "changes",
    "principals",
    "audit",
    "organizations",
    "frontdoor/frontdoors",
    "frontdoor/providers",
  ],
  "frontdoor/frontends": [
    "lib",
    "http",
    "assembly",
    "db",
    "changes",
    "principals",
    "audit",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
    "frontdoor/providers",
  ],
  "frontdoor/proxy-tokens": [
    "lib",
    "assembly",
    "db",
    "changes",
    "principals",
    "audit",
    "organizations",
    "frontdoor/frontdoors",
  ],
  "frontdoor/watch": [
    "lib",
    "assembly",
    "db",
    "changes",
    "principals",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
    "frontdoor/providers",
  ],
  frontdoor: [
    "lib",
    "assembly",
    "db",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
    "frontdoor/providers",
    "frontdoor/api-keys",
    "frontdoor/frontends",
    "frontdoor/proxy-tokens",
    "frontdoor/watch",
  ],
  // What a proxy asks, read by a strict grammar.
  "gate/asks": [],
  "gate/directory": ["lib", "assembly", "db", "changes", "frontdoor/provider-types", "frontdoor/frontends"],
  // Who has signed in at a frontend.
  "gate/sessions": [
    "lib",
    "http",
    "assembly",
    "db",
    "changes",
    "encryption",
    "principals",
    "audit",
    "tokens",
    "sessions",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
    "frontdoor/providers",
    "gate/directory",
  ],
  "gate/decisions": [
    "lib",
    "http",
    "assembly",
    "db",
    "changes",
    "signatures",
    "principals",
    "audit",
    "limits",
    "frontdoor/frontdoors",
    "frontdoor/provider-types",
    "frontdoor/frontends",
    "gate/asks",
    "gate/directory",
    "gate/sessions",
  ],
  // Who comes in, as the app behind the gate is told.
  "gate/identity": ["lib", "changes", "gate/decisions"],
  // How each kind of proxy asks, and what it makes of an answer.
  "gate/dialects": ["lib", "http", "html", "assembly", "gate/asks", "gate/decisions"],
  // How people come in, from a frontend to whoever knows them and back.
  "gate/login": [
    "lib",
    "http",
    "html",
    "assembly",
    "config",
    "db",
    "changes",
    "openid",
    "principals",
    "audit",
    "limits",
    "sessions",
    "auth",
    "frontdoor/frontends",
    "frontdoor/provider-types",
    "gate/asks",
    "gate/directory",
    "gate/sessions",
    "gate/decisions",
    "gate/dialects",
  ],
  // Texts for the command line.
  "gate/proxy-files": [],
  gate: [
    "assembly",
    "gate/directory",
    "gate/sessions",
    "gate/decisions",
    "gate/identity",
    "gate/dialects",
    "gate/login",
  ],
  pages: [
    "lib",
    "http",
    "html",
    "assembly",
    "principals",
    "organizations",
    "invitations",
    "personal-tokens",
    "users",
    "sessions",
    "passkeys",
    "auth",
    "accounts",
    "gate/sessions",
  ],
  // What goes wrong, in the words of each wire: the one place that translates refusals.
  "edge/errors": ["lib"],
  // What the schema says of a method beside its shape.
  "edge/options": ["principals"],
  // JSON that means one thing only, into messages.
  "edge/json": ["lib"],
  // A call in this process: its context, its limit, its way through the interceptors.
  "edge/calls": ["lib", "http", "assembly", "edge/errors"],
  // Connect, gRPC and gRPC-Web: direct calls, and the adapter for all else.
  "edge/rpc": ["lib", "http", "assembly", "edge/errors", "edge/json", "edge/calls"],
  "edge/rest": ["lib", "http", "assembly", "edge/errors", "edge/json", "edge/calls"],
  "edge/openapi": ["lib", "http", "assembly", "principals", "edge/options", "edge/json", "edge/rest"],
  "edge/interceptors": ["lib", "http", "principals", "edge/options"],
  // Health, metrics, reflection.
  "edge/operations": ["lib", "http", "assembly"],
  // The name by which Frontier's clients call us.
  "edge/frontier": ["assembly"],
  // The router, and what every request goes through.
  edge: [
    "lib",
    "http",
    "assembly",
    "edge/errors",
    "edge/calls",
    "edge/rpc",
    "edge/rest",
    "edge/openapi",
    "edge/interceptors",
    "edge/operations",
    "edge/frontier",
  ],
  // People and what belongs to them, as files: above all that has what is moved.
  transfer: [
    "lib",
    "db",
    "changes",
    "principals",
    "audit",
    "avatars",
    "organizations",
    "service-users",
    "users",
    "sessions",
    "auth",
  ],
  // What is open for as long as the process runs: the data folder, the database, the keys.
  storage: ["lib", "config", "db", "changes", "encryption", "audit", "users", "tokens"],
  // The open port, for as long as it is.
  serving: ["lib", "assembly", "config", "listener", "service-users", "edge"],
  app: [
    "backup",
    "lib",
    "assembly",
    "config",
    "mail",
    "egress",
    "db",
    "changes",
    "principals",
    "audit",
    "limits",
    "avatars",
    "organizations",
    "service-users",
    "users",
    "invitations",
    "tokens",
    "sessions",
    "personal-tokens",
    "passkeys",
    "auth",
    "accounts",
    "frontdoor",
    "gate",
    "gate/sessions",
    "pages",
    "storage",
    "serving",
  ],
  // Who seals what, for sealing it anew.
  "sealed-columns": ["encryption", "audit", "tokens", "auth", "frontdoor/providers", "gate/sessions"],
  commands: [
    "backup",
    "moving",
    "transfer",
    "lib",
    "processes",
    "config",
    "mail",
    "tracing",
    "db",
    "encryption",
    "service-users",
    "users",
    "tokens",
    "storage",
    "app",
    "sealed-columns",
    "frontdoor/frontends",
    "gate/proxy-files",
  ],
  "command-line": ["lib", "commands"],
  check: ["command-line", "commands"],
  main: ["command-line", "commands"],
};

const serverSources = join(import.meta.dirname, "../server/src");

test("the server's imports run downwards only, without a circle", () => {
  const sources = readSources(serverSources);
  expect(sources.length).toBeGreaterThan(5);
  expect(findViolations(sources, rooms)).toEqual([]);
});

test("the table permits nothing that no import uses", () => {
  expect(findUnusedPermissions(readSources(serverSources), rooms)).toEqual([]);
});

test("every part is built by somebody, and every room is in the house", () => {
  expect(findUnwired(readSources(serverSources))).toEqual([]);
});

test("what is stored as JSON is read by its column alone", () => {
  const parsing = readSources(serverSources).filter(({ text }) => /\bJSON\.parse\(/.test(text));
  expect(parsing.map(({ path }) => path)).toEqual([
    // Answers of an authenticator; each is checked, or made by ourselves.
    "auth/strategies/passkey.ts",
    // Lines of a backup, which are held against its sums; keys that only our own sealing can have made.
    "backup/archive.ts",
    "backup/sealed-keys.ts",
    "db/json-column.ts",
    // Texts of a request that it has found to be well-formed.
    "edge/json/strict-json.ts",
    // Examples in our own schemas.
    "edge/openapi/schemas.ts",
    // What others send: an object or nothing.
    "egress/fetch-json.ts",
    "lib/page-token.ts",
    // What the edge has just written, for pino to write in its way.
    "lib/pino-log.ts",
    "signatures/compact-jws.ts",
    // Records that are to be imported; each is checked against its schema.
    "transfer/csv.ts",
    "transfer/read-file.ts",
  ]);
});

test("what is wrong with a request is put into words in one place", () => {
  const own = /new DomainError\(\s*"INVALID_REQUEST",\s*\{\s*(message|violations)/;
  const wording = readSources(serverSources).filter(({ text }) => own.test(text));
  expect(wording.map(({ path }) => path)).toEqual(["lib/invalid-request.ts"]);
});

test.each(["server", "clients", "scripts", "test/parts"])(
  "no function in %s has over 150 lines",
  (folder) => {
    const sources = readSources(join(import.meta.dirname, "..", folder));
    expect(sources.length).toBeGreaterThan(3);
    expect(findLongFunctions(sources, 150)).toEqual([]);
  },
);

test("the table itself runs one way", () => {
  const below = (room: string): string[] => (rooms[room] ?? []).flatMap((other) => [other, ...below(other)]);
  for (const room of Object.keys(rooms)) expect(below(room)).not.toContain(room);
});

/** What the checker says of a tree of these files, over a small table. */
function violationsOf(files: Record<string, string>): string[] {
  const sources = Object.entries(files).map(([path, text]) => ({ path, text }));
  return findViolations(sources, {
    lib: [],
    config: ["lib"],
    db: ["lib"],
    tokens: ["lib", "db"],
    "command-line": [],
    main: ["tokens"],
  });
}

test.each([
  ["downwards", { "tokens/a.ts": 'import { b } from "../lib/b.ts";', "lib/b.ts": "export const b = 1;" }],
  ["within a room", { "tokens/a.ts": 'import { b } from "./b.ts";', "tokens/b.ts": "export const b = 1;" }],
  ["Kysely in a store", { "tokens/store.ts": 'import type { Kysely } from "kysely";' }],
  ["Kysely in a store with a first name", { "tokens/key-store.ts": 'import { sql } from "kysely";' }],
  ["Kysely in db", { "db/open.ts": 'import { Kysely } from "kysely";' }],
  ["Connect in a handler", { "tokens/handler.ts": 'import { Code } from "@connectrpc/connect";' }],
  ["the environment in config", { "config/read.ts": "export const home = process.env.HOME;" }],
  ["the environment handed over by the command line", { "command-line.ts": "run(process.env);" }],
  ["process for something else", { "tokens/a.ts": "export const pid = process.pid;" }],
  [
    "words in comments and strings",
    { "lib/a.ts": '// console.log(process.env)\nexport const a = "kysely";' },
  ],
])("allows %s", (_, files) => {
  expect(violationsOf(files)).toEqual([]);
});

test.each([
  ["an upward import", { "lib/a.ts": 'import { b } from "../tokens/b.ts";' }, "lib may not know tokens"],
  ["an upward type", { "lib/a.ts": 'import type { B } from "../tokens/b.ts";' }, "lib may not know tokens"],
  [
    "an upward inline type",
    { "lib/a.ts": 'type B = import("../tokens/b.ts").B;' },
    "lib may not know tokens",
  ],
  ["an upward re-export", { "lib/a.ts": 'export { b } from "../tokens/b.ts";' }, "lib may not know tokens"],
  ["an upward star export", { "lib/a.ts": 'export * from "../tokens/b.ts";' }, "lib may not know tokens"],
  [
    "an upward lazy import",
    { "lib/a.ts": 'const b = await import("../tokens/b.ts");' },
    "lib may not know tokens",
  ],
  ["an import of the root from a room", { "lib/a.ts": 'import "../main.ts";' }, "lib may not know main"],
  ["a room without a row", { "attic/a.ts": "" }, "room attic is not in the table"],
  ["an import from outside", { "lib/a.ts": 'import "../../test/parts/x.ts";' }, "outside the tree"],
  [
    "Kysely in a service",
    { "tokens/service.ts": 'import { sql } from "kysely";' },
    "only stores know Kysely",
  ],
  ["Kysely by a sub-path", { "tokens/a.ts": 'import "kysely/helpers/sqlite";' }, "only stores know Kysely"],
  ["Connect in a service", { "tokens/service.ts": 'import "@connectrpc/connect";' }, "know the wire"],
  [
    "messages in a service",
    { "tokens/grant-service.ts": 'import "@vestibule/proto/x_pb";' },
    "know the wire",
  ],
  ["protobuf in a store", { "tokens/store.ts": 'import "@bufbuild/protobuf";' }, "know the wire"],
  [
    "the environment in a noun",
    { "tokens/a.ts": "export const home = process.env.HOME;" },
    "only config does",
  ],
  ["the environment by index", { "tokens/a.ts": 'export const e = process["env"];' }, "only config does"],
  ["the environment by module", { "tokens/a.ts": 'import { env } from "node:process";' }, "only config does"],
  ["the environment taken apart", { "tokens/a.ts": "const { env } = process;" }, "only config does"],
  ["console", { "lib/a.ts": 'console.log("x");' }, "uses console"],
  ["what tests stand on", { "lib/a.ts": 'import "./test-support.ts";' }, "which is for tests"],
])("refuses %s", (_, files, expected) => {
  expect(violationsOf(files)).toEqual([expect.stringContaining(expected)]);
});

test("names permissions that nothing uses and rooms that are not there", () => {
  const sources = [
    { path: "lib/a.ts", text: "" },
    { path: "db/open.ts", text: 'import "../lib/a.ts";' },
  ];
  const table = { lib: [], db: ["lib", "config"], attic: [] };
  expect(findUnusedPermissions(sources, table)).toEqual(["db does not use config", "there is no room attic"]);
});

test("names parts that nobody builds, and rooms that are not in the house", () => {
  const sources = [
    {
      path: "app.ts",
      text: `
        import { assembleTokens } from "./tokens/assemble.ts";
        import { assembleUsers } from "./users/assemble.ts";
        const tokens = house.add(await assembleTokens());
        const users = assembleUsers();`,
    },
    {
      path: "tokens/assemble.ts",
      text: `
        import type { Sweeper } from "./sweeper.ts";
        import { Keyring } from "./keyring.ts";
        import * as store from "./store.ts";
        export function assembleTokens() {}`,
    },
    { path: "tokens/keyring.ts", text: "export class Keyring {} export class Touches {}" },
    { path: "tokens/store.ts", text: "export function findKeys() {}" },
    { path: "tokens/sweeper.ts", text: "export function createSweeper() {} export interface Sweeper {}" },
    { path: "users/assemble.ts", text: "export function assembleUsers() {}" },
    { path: "mail/assemble.ts", text: "export function assembleMail() {}" },
    {
      path: "gate/assemble.ts",
      text: `
        import { assembleLogin } from "./login/assemble.ts";
        const login = assembleLogin();
        const logout = assembleLogin();
        const gate = { rooms: [login, assembleLogin()] };`,
    },
    { path: "gate/login/assemble.ts", text: "export function assembleLogin() {}" },
  ];
  expect(findUnwired(sources)).toEqual([
    "tokens/keyring.ts: Touches is used by nothing that serves",
    "tokens/sweeper.ts: createSweeper is used by nothing that serves",
    "mail/assemble.ts: assembleMail is used by nothing that serves",
    "app.ts: assembleUsers is not added to the house",
    "gate/assemble.ts: assembleLogin is not added to the house",
  ]);
});

test("measures functions of every kind", () => {
  const sources = [
    { path: "a.ts", text: "const f = () => {\n\n};\nfunction g() {}\nclass A {\n  m() {\n\n  }\n}" },
    { path: "b.tsx", text: "export function B() {\n\n  return <p />;\n}" },
  ];
  expect(findLongFunctions(sources, 2)).toEqual([
    "a.ts:1: a function of 3 lines",
    "a.ts:6: a function of 3 lines",
    "b.tsx:1: a function of 4 lines",
  ]);
});

test("a folder with a row of its own is a room, whatever lies around it", () => {
  const sources = [
    { path: "frontdoor/messages.ts", text: "" },
    { path: "frontdoor/watch/channel.ts", text: 'import "../messages.ts";' },
    { path: "frontdoor/api-keys/store.ts", text: 'import "../watch/channel.ts";' },
  ];
  const table = { frontdoor: [], "frontdoor/watch": ["frontdoor"], "frontdoor/api-keys": [] };
  expect(findViolations(sources, table)).toEqual([
    "frontdoor/api-keys/store.ts imports frontdoor/watch/channel.ts: frontdoor/api-keys may not know frontdoor/watch",
  ]);
});

test("finds a circle, one made of types alone included", () => {
  const files = {
    "tokens/a.ts": 'import type { B } from "./b.ts"; export type A = B;',
    "tokens/b.ts": 'import type { C } from "./c.ts"; export type B = C;',
    "tokens/c.ts": 'import type { A } from "./a.ts"; export type C = A;',
  };
  expect(violationsOf(files)).toEqual([
    "import circle: tokens/a.ts → tokens/b.ts → tokens/c.ts → tokens/a.ts",
  ]);
});

test("finds a file that imports itself", () => {
  expect(violationsOf({ "lib/a.ts": 'import "./a.ts";' })).toEqual(["import circle: lib/a.ts → lib/a.ts"]);
});
