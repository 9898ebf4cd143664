/** What docs/gate/apps.md says of the gate's assertion, held against one that a server made. */
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader } from "jose";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createGateVerifier } from "../clients/node/src/verify/gate-assertion.ts";
import { readBlocks } from "./parts/documentation.ts";
import { createFrontdoor, getAssertion, type TestFrontdoor } from "./parts/gate.ts";
import { basic, send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const page = "docs/gate/apps.md";
const hostname = "grafana.example.com";
const groups = ["grafana-admins", "a,b"];

let server: TestServer;
let frontdoor: TestFrontdoor;
let issuer: string;

beforeAll(async () => {
  server = await startServer();
  issuer = `http://localhost:${server.port}`;
  const frontend = { assertionHeader: "X-JWT-Assertion" };
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https", frontend });
});
afterAll(() => server?.[Symbol.asyncDispose]());

async function assertAlice(header?: string): Promise<string> {
  const token = await frontdoor.signToken({ name: "Alice", groups });
  const visitor = { authorization: `Bearer ${token}` };
  return await getAssertion(server, frontdoor, visitor, header === undefined ? {} : { header });
}

it("the page shows the claims that an assertion has", async () => {
  const [shown = ""] = readBlocks(page, "json");
  const claims = decodeJwt(await assertAlice());
  expect(Object.keys(claims)).toEqual(Object.keys(JSON.parse(shown)));
  expect(claims).toMatchObject({
    iss: issuer,
    aud: `https://${hostname}`,
    sub: `${frontdoor.jwtProviderId}:ada`,
    email_verified: true,
    groups,
  });
  expect(Number(claims.exp) - Number(claims.iat)).toBe(60);
});

it("the client of ours verifies it, and the keys are at the frontend as well", async () => {
  const verifier = createGateVerifier({ issuer, audience: `https://${hostname}` });
  const assertion = await assertAlice();
  expect(await verifier.verifyGateAssertion(assertion)).toMatchObject({ name: "Alice", groups });
  const machine = await getAssertion(server, frontdoor, basic(server));
  expect(await verifier.verifyGateAssertion(machine)).toMatchObject({
    provider: frontdoor.vestibuleProviderId,
  });
  const nobody = await getAssertion(server, frontdoor, {}, { path: "/health" });
  expect(await verifier.verifyGateAssertion(nobody)).not.toHaveProperty("sub");
  const other = createGateVerifier({ issuer, audience: "https://app.example.com" });
  await expect(other.verifyGateAssertion(assertion)).rejects.toMatchObject({ reason: "TOKEN_AUDIENCE" });
  const headers = { "x-vestibule-proxy-token": frontdoor.proxyToken };
  const keys = await send(`${server.url}/frontdoor/${frontdoor.id}/gate/browser/jwks.json`, { headers });
  expect(keys.headers["access-control-allow-origin"]).toBe("*");
  expect(keys.json).toEqual((await send(`${server.url}/.well-known/jwks.json`)).json);
});

it("Grafana finds in it what the page tells it to look for", async () => {
  const [text = ""] = readBlocks(page, "ini");
  const settings = Object.fromEntries(
    [...text.matchAll(/^(\w+) = (.+)$/gm)].map(([, name, value]) => [name, value]),
  );
  const assertion = await assertAlice(settings.header_name?.toLowerCase());
  const claims = decodeJwt(assertion);
  expect(claims[settings.username_claim ?? ""]).toBe(`${frontdoor.jwtProviderId}:ada`);
  expect(claims[settings.email_claim ?? ""]).toBe("ada@example.com");
  const expected = JSON.parse((settings.expect_claims ?? "").replace("https://id.example.com", issuer));
  expect(claims).toMatchObject(expected);
  expect(settings.role_attribute_path).toContain("groups[*], 'grafana-admins'");
  const keys = new URL((settings.jwk_set_url ?? "").replace("https://id.example.com", issuer));
  const find = createRemoteJWKSet(keys);
  await expect(find(decodeProtectedHeader(assertion))).resolves.toBeDefined();
});
