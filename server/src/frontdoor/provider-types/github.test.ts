import { afterEach, expect, test } from "vitest";
import { type LocalServer, startLocalServer } from "../../egress/test-support.ts";
import { createGithubType } from "./github.ts";
import type { ProviderData } from "./provider-type.ts";
import { createTestContext, runTest, toOutline } from "./test-support.ts";

const servers: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const type = createGithubType(createTestContext());

const toProvider = (data: ProviderData) => ({
  id: "p1",
  orgId: "o1",
  data: { clientId: "app", clientSecret: "canary", ...data },
});

/** A site that answers every post to its token endpoint alike. */
async function startSite(status: number, body: string) {
  const bodies: string[] = [];
  const server = await startLocalServer(async (request, response) => {
    bodies.push(Buffer.concat(await request.toArray()).toString());
    response.writeHead(status).end(body);
  });
  servers.push(server);
  return { server, bodies, provider: toProvider({ baseUrl: server.origin }) };
}

test("takes no credential of a request, and says how people come in", async () => {
  expect(type.accepts({})).toEqual({ issuers: [], own: false });
  for (const credential of [
    { kind: "access_token", token: "a.b.c" },
    { kind: "opaque_token", token: "gho_x" },
  ] as const) {
    expect(await type.authenticate(toProvider({}), credential)).toMatchObject({
      allowed: false,
      reason: "wrong_kind",
      detail: expect.stringContaining("browser sign-in only"),
    });
  }
});

test.each([
  ["a wrong code", 200, '{"error":"bad_verification_code"}', true],
  ["a wrong client", 200, '{"error":"incorrect_client_credentials"}', false],
  ["nothing there", 404, "Not Found", false],
  ["another site", 200, "<html>canary</html>", false],
])("tries the client: %s", async (_, status, body, ok) => {
  const { bodies, provider } = await startSite(status, body);
  const checks = await runTest(type, provider);
  expect(toOutline(checks)).toBe(`name_resolution endpoints ${ok ? "" : "!"}client`);
  expect(bodies).toEqual([expect.stringContaining("client_id=app&client_secret=canary")]);
  expect(JSON.stringify(checks)).not.toContain("canary");
});

test("tells that a site is inside and a token no sample", async () => {
  const checks = await runTest(type, toProvider({ baseUrl: "https://10.0.0.1" }), { token: "gho_canary" });
  expect(toOutline(checks)).toBe("!name_resolution !sample_kind");
  expect(checks.sample_kind?.detail).toContain("browser sign-in only");
  expect(JSON.stringify(checks)).not.toContain("canary");
});
