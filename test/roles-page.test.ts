/** What docs/roles.md says: its commands and programs run as they stand, its claims and rules held against tokens. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const page = "docs/roles.md";
const root = join(import.meta.dirname, "..");

let server: TestServer;
let folder: string;
let orgId: string;
let userId: string;
let person: Person;

beforeAll(async () => {
  server = await startServer();
  // Inside the repository, where the programs' imports are found.
  mkdirSync(join(root, ".cache"), { recursive: true });
  folder = mkdtempSync(join(root, ".cache/roles-"));
  const body = { title: "owner", role: "owner" };
  orgId = (await manage("OrganizationService/CreateOrganization", { body: { name: "acme" } })).organization
    .id;
  await manage("ServiceUserService/CreateServiceUser", { org_id: orgId, body });
  person = new Person(server);
  await person.signIn("ada@example.org");
  userId = (await person.call("GetCurrentUser")).json.user.id;
  await manage("OrganizationService/AddMember", { org_id: orgId, user_id: userId, role: "manager" });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.[Symbol.asyncDispose]();
});

async function manage(method: string, message: object) {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  expect(answer.status, answer.text).toBe(200);
  return answer.json;
}

const setRole = (role: string) =>
  manage("OrganizationService/SetMemberRole", { org_id: orgId, user_id: userId, role });

const tokenOf = async (message = {}): Promise<string> =>
  (await person.call("AuthToken", message)).json.accessToken;

it("shows the claims that tokens have", async () => {
  const [all = "", one = "", ...others] = readBlocks(page, "json").map((block) =>
    Object.keys(JSON.parse(block)),
  );
  expect(others).toEqual([]);
  expect(Object.keys(decodeJwt(await tokenOf()))).toEqual(expect.arrayContaining([...all]));
  expect(Object.keys(decodeJwt(await tokenOf({ orgId })))).toEqual(expect.arrayContaining([...one]));
});

it("gets a token for one organization, and asks what is so now", async () => {
  const [get = "", ask = "", ...others] = readBlocks(page, "sh");
  expect(others).toEqual([]);
  const cookies = [...person.cookies].map(
    ([name, value]) => `localhost\tFALSE\t/\tFALSE\t0\t${name}\t${value}`,
  );
  const jar = join(folder, "jar");
  writeFileSync(
    jar,
    `# Netscape HTTP Cookie File\n${cookies.join("\n").replaceAll("localhost", new URL(server.url).hostname)}\n`,
  );
  const { accessToken } = JSON.parse(await runShell(get.replace("-b jar", `-b ${jar}`), server));
  expect(decodeJwt(accessToken)).toMatchObject({ org_id: orgId, roles: ["manager"] });
  const variables = { TOKEN: accessToken };
  expect(JSON.parse(await runShell(ask, server, variables))).toEqual({ status: true });
  await setRole("viewer");
  expect(JSON.parse(await runShell(ask, server, variables))).toEqual({});
  await setRole("manager");
});

it.each([
  ["Express", 0],
  ["Fastify", 1],
] as const)("lets managers in by %s, and asks where it is told to", async (_, index) => {
  const port = await findFreePort();
  const issuer = `http://localhost:${server.port}`;
  const program = join(folder, `program-${index}.ts`);
  const block = readBlocks(page, "ts")[index] ?? "";
  const sources = `${root}/clients/node/src`;
  const code = block
    .replaceAll("http://localhost:7400", issuer)
    .replace("3000", String(port))
    // As the package has them, which is not built here.
    .replaceAll("@vestibule/node/verify", `${sources}/verify/index.ts`)
    .replaceAll(/@vestibule\/node\/(express|fastify)/g, `${sources}/middleware/$1.ts`);
  writeFileSync(program, code);
  const running = spawn(process.execPath, [program], { stdio: "ignore" });
  try {
    const ask = async (method: string, token: string, org = orgId) => {
      const url = `http://localhost:${port}/orgs/${org}`;
      return (await send(url, { method, headers: { authorization: `Bearer ${token}` } })).status;
    };
    const token = await tokenOf();
    await eventually(async () => expect(await ask("GET", token)).toBe(200));
    expect(await ask("DELETE", token)).toBe(200);
    expect(await ask("GET", token, userId)).toBe(403);
    await setRole("viewer");
    expect(await ask("GET", token)).toBe(200);
    expect(await ask("DELETE", token)).toBe(403);
    expect(await ask("GET", await tokenOf())).toBe(403);
    await setRole("manager");
  } finally {
    running.kill();
  }
});

interface Matcher {
  readonly string_match?: { readonly exact?: string; readonly safe_regex?: { readonly regex: string } };
  readonly list_match?: { readonly one_of: Matcher };
}

/** As Envoy's `ValueMatcher` does: regular expressions match the whole text. */
function matches({ string_match, list_match }: Matcher, value: unknown): boolean {
  if (list_match !== undefined) {
    return Array.isArray(value) && value.some((one) => matches(list_match.one_of, one));
  }
  const { exact, safe_regex } = string_match ?? {};
  if (typeof value !== "string") return false;
  return safe_regex === undefined ? value === exact : new RegExp(`^(?:${safe_regex.regex})$`).test(value);
}

it("has rules for Envoy that managers and owners of the organization fulfil, and nobody else", async () => {
  const [block = ""] = readBlocks(page, "yaml");
  const [jwt, rbac] = parse(block.replaceAll("0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f", orgId)).http_filters;
  const { providers } = jwt.typed_config;
  const [principal] = rbac.typed_config.rules.policies.managers.principals;
  const isAllowed = (token: string) => {
    const payload = { [providers.vestibule.payload_in_metadata]: decodeJwt(token) };
    return principal.and_ids.ids.every(
      ({ metadata }: { metadata: { path: { key: string }[]; value: Matcher } }) =>
        matches(
          metadata.value,
          // biome-ignore lint/suspicious/noExplicitAny: claims, whatever they are
          metadata.path.reduce<any>((found, { key }) => found?.[key], payload),
        ),
    );
  };
  const of = async (role: string) => {
    await setRole(role);
    return isAllowed(await tokenOf({ orgId }));
  };
  expect([await of("viewer"), await of("owner"), await of("manager")]).toEqual([false, true, true]);
  expect(isAllowed(await tokenOf())).toBe(false);
  expect(isAllowed(await tokenOf({ orgId: "default" }))).toBe(false);
});
