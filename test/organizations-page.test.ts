/** The commands of docs/organizations.md, run as they stand; its program runs where the client's package does. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { basic, postJson } from "./parts/http.ts";
import { findCode, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
let folder: string;

beforeAll(async () => {
  server = await startServer();
  folder = mkdtempSync(join(tmpdir(), "vestibule-organizations-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.[Symbol.asyncDispose]();
});

it("the commands of docs/organizations.md do what they say", async () => {
  const jar = join(folder, "jar");
  const [define = "", ...blocks] = readBlocks("docs/organizations.md", "sh");
  const [call = ""] = readBlocks("docs/sign-in.md", "sh");
  const own = [define, call].map((block) => block.replaceAll(" jar", ` ${jar}`)).join("\n");
  /** Answers of the commands, a line each. */
  async function run(block: string, variables: Record<string, string> = {}) {
    const lines = block.replaceAll(/\\\n\s*/g, "").replaceAll(/^(?:org|mine|call) .*$/gm, "$&; echo");
    const printed = await runShell(`${own}\n${lines}`, server, variables);
    const answers = printed
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    for (const answer of answers) expect(answer).not.toHaveProperty("code");
    return answers;
  }
  const [make = "", first = "", answer = "", next = "", members = "", projects = "", ...rest] = blocks;
  expect(rest).toEqual([]);

  const [{ organization }] = await run(make);
  const [{ invitations: sent }] = await run(first);
  const before = listMails(server);
  const [{ state }] = await run(`call Authenticate '{"strategyName":"mailotp","email":"ada@example.org"}'`);
  const code = findCode(await waitForMail(server, "ada@example.org", before, hasCode));
  await run(`call AuthCallback '${JSON.stringify({ state, code })}'`);
  const [waiting, accepted] = await run(answer, { INVITATION: sent[0].id });
  expect(waiting).toMatchObject({
    invitations: [{ id: sent[0].id, role: "owner" }],
    orgs: [{ name: "acme" }],
  });
  expect(accepted).toEqual({});

  // The last of the block takes back what the first has made: they run one after another.
  const [invite = "", list = "", withdraw = ""] = next.split(/^(?=mine )/m);
  const [{ invitations: invited }] = await run(invite);
  const [listed] = await run(list);
  expect(listed.invitations).toMatchObject([
    { userId: "bob@example.org", role: "manager", state: "pending" },
  ]);
  expect(listed.invitations[0].projectIds).toHaveLength(1);
  expect(await run(withdraw, { NEXT: invited[0].id })).toEqual([{}]);

  const bob = new Person(server);
  await bob.signIn("bob@example.org");
  const { user } = (await bob.call("GetCurrentUser")).json;
  const message = { org_id: organization.id, user_id: user.id };
  const add = () => postJson(server, "/vestibule.v1.OrganizationService/AddMember", message, basic(server));
  expect((await add()).status).toBe(200);
  const [all, changed, removed] = await run(members, { USER_ID: user.id });
  expect(all.members).toMatchObject([{ email: "ada@example.org" }, { email: "bob@example.org" }]);
  expect([changed.member.role, removed]).toEqual(["manager", {}]);
  expect((await add()).status).toBe(200);
  const [added, seen] = await run(projects, { USER_ID: user.id });
  expect([added, seen.projects]).toMatchObject([{}, [{ name: "shop" }]]);
});
