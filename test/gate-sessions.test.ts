/** Sessions at frontends in whole processes: who sees and ends them, and what they end with. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor, joinDefault } from "./parts/gate-visitor.ts";
import { basic, postJson } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";
const origin = `https://${hostname}`;

let server: TestServer;
let frontdoor: TestFrontdoor;
let people = 0;

beforeAll(async () => {
  server = await startServer({ config: { gate: { reason_header: true } } });
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Somebody new, who is in at the app. */
async function comeIn(): Promise<{ readonly visitor: GateVisitor; readonly userId: string }> {
  const visitor = new GateVisitor(server, { origin, frontdoor });
  people += 1;
  await visitor.person.signIn(`member-${people}@example.org`);
  const userId = await joinDefault(visitor, basic(server));
  await visitor.open(`${origin}/x`);
  expect(await visit(visitor)).toBe(200);
  return { visitor, userId };
}

const visit = async (visitor: GateVisitor) => (await visitor.hop(`${origin}/x`)).status;
const script = { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" };
const reasonOf = async (visitor: GateVisitor) => {
  const { status, headers } = await visitor.hop(`${origin}/x`, {
    headers: { ...script, cookie: [...visitor.jar(hostname)].map((pair) => pair.join("=")).join("; ") },
  });
  // The app says nothing of why.
  return `${status} ${headers["x-vestibule-reason"] ?? ""}`;
};
const ended = "401 SESSION_ENDED";
const letIn = "200 ";
const call = (visitor: GateVisitor, method: string, message: object) =>
  postJson(server, `/vestibule.v1.GateService/${method}`, message, visitor.person.headers({}));

it("are seen and ended by the commands of the page", async () => {
  const blocks = readBlocks("docs/gate/sessions.md", "sh");
  const [one, two] = [await comeIn(), await comeIn()];
  const variables = { F: frontdoor.id, P: frontdoor.vestibuleProviderId, SUBJECT: two.userId };
  const run = (index: number) => runShell(blocks[index] ?? "", server, variables);
  const { gateSessions } = JSON.parse(await run(0));
  expect(gateSessions).toMatchObject([
    { host: hostname, subject: one.userId, authProviderId: frontdoor.vestibuleProviderId },
    { host: hostname, subject: two.userId, customFrontendId: frontdoor.frontendId },
  ]);
  expect(await run(1)).toBe("204\n");
  expect([await reasonOf(one.visitor), await reasonOf(two.visitor)]).toEqual([ended, letIn]);
  expect(JSON.parse(await run(2))).toEqual({ ended: 1 });
  expect(await reasonOf(two.visitor)).toBe(ended);
  const audit = await postJson(
    server,
    "/vestibule.v1.AuditService/ListAuditRecords",
    { action: "gate_session.end" },
    basic(server),
  );
  expect(audit.text).toContain(one.userId);
  for (const each of blocks) expect(each).not.toBe("");
}, 120_000);

it("are people's own to see and to end", async () => {
  const { visitor, userId } = await comeIn();
  const { visitor: other } = await comeIn();
  const listed = await call(visitor, "ListOwnGateSessions", {});
  expect(listed.json.gateSessions).toMatchObject([
    { host: hostname, subject: userId, isCurrentSession: true },
  ]);
  const { id } = listed.json.gateSessions[0];
  expect((await call(other, "EndOwnGateSession", { id })).status).toBe(404);
  expect((await call(visitor, "EndOwnGateSession", { id })).status).toBe(200);
  expect(await reasonOf(visitor)).toBe(ended);
  expect(await reasonOf(other)).toBe(letIn);
});

it("are on one's own account, and end from there", async () => {
  const { visitor } = await comeIn();
  const account = `http://localhost:${server.port}/account`;
  const page = await visitor.open(account);
  expect(page.text).toContain(`Sign out of ${hostname}`);
  const form = page.text.indexOf('<form method="post" action="/account/apps/end"');
  const text = page.text.slice(form, page.text.indexOf("</form>", form));
  const after = await visitor.submit({ ...page, text });
  expect(after).toMatchObject({ status: 200, text: expect.stringContaining("That app is signed out.") });
  expect(after.text).not.toContain(`Sign out of ${hostname}`);
  expect(await reasonOf(visitor)).toBe(ended);
  const again = await visitor.submit({ ...page, text });
  expect(again.text).toContain("That app is signed out already");
});

it("let a WebSocket in, and no other upgrade", async () => {
  const { visitor } = await comeIn();
  const upgrade = { "sec-fetch-mode": "websocket", "sec-fetch-dest": "empty", "sec-websocket-key": "x" };
  const cookie = [...visitor.jar(hostname)].map((pair) => pair.join("=")).join("; ");
  const ask = async (headers: Record<string, string>) =>
    (await visitor.hop(`${origin}/live`, { headers: { ...upgrade, ...headers } })).status;
  expect(await ask({ cookie, upgrade: "websocket" })).toBe(200);
  expect(await ask({ cookie: "", upgrade: "websocket" })).toBe(401);
  expect(await ask({ cookie, upgrade: "h2c" })).toBe(403);
  await visitor.person.call("AuthLogout");
  expect(await ask({ cookie, upgrade: "websocket" })).toBe(401);
});

it.each<[string, (come: Awaited<ReturnType<typeof comeIn>>) => Promise<unknown>]>([
  ["sign out", ({ visitor }) => visitor.person.call("AuthLogout")],
  ["sign out everywhere", ({ visitor }) => visitor.person.call("RevokeAllSessions", {})],
  [
    "are disabled",
    ({ userId }) => postJson(server, "/vestibule.v1.UserService/DisableUser", { id: userId }, basic(server)),
  ],
  [
    "are deleted",
    ({ userId }) => postJson(server, "/vestibule.v1.UserService/DeleteUser", { id: userId }, basic(server)),
  ],
  [
    "are no member any more",
    ({ userId }) =>
      postJson(
        server,
        "/vestibule.v1.OrganizationService/RemoveMember",
        { org_id: "default", user_id: userId },
        basic(server),
      ),
  ],
])("end with the person: when they %s", async (_what, end) => {
  const come = await comeIn();
  const { visitor: other } = await comeIn();
  await end(come);
  expect(await reasonOf(come.visitor)).toMatch(/^401 SESSION_(ENDED|UNFIT)$/);
  expect(await reasonOf(other)).toBe(letIn);
});

it("outlive that their holder proves themselves again", async () => {
  const { visitor } = await comeIn();
  const { email } = (await visitor.person.call("GetCurrentUser")).json.user;
  const before = new Map(visitor.person.cookies);
  await visitor.person.signIn(email);
  expect(visitor.person.cookies).not.toEqual(before);
  expect(await reasonOf(visitor)).toBe(letIn);
  await visitor.person.call("AuthLogout");
  await eventually(async () => expect(await reasonOf(visitor)).toBe(ended));
});

it("are told to whoever asks what is kept about them, theirs alone and without what lets them in", async () => {
  const [{ visitor }] = [await comeIn(), await comeIn()];
  const { messages } = await visitor.person.stream("ExportCurrentUser");
  const told = messages.filter(({ kind }) => kind === "frontend_session").map(({ item }) => item);
  expect(told).toMatchObject([{ frontdoorId: frontdoor.id, host: hostname, device: expect.any(Object) }]);
  const text = JSON.stringify(messages);
  for (const cookie of visitor.jar(hostname).values()) expect(text).not.toContain(cookie);
});
