/** What people try who mean no good on the way in at a frontend, with a real `oidc-provider`. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor } from "./parts/gate-visitor.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";
const origin = `https://${hostname}`;
const finish = `${origin}/.vestibule/finish`;
/** How many flows an address may have on their way. */
const limit = 12;

let server: TestServer;
let frontdoor: TestFrontdoor;
let provider: IdentityProvider;
let providerId: string;

beforeAll(async () => {
  const port = await findFreePort();
  provider = await startIdentityProvider({
    accounts: { ada: { email: "ada@example.org", email_verified: true }, eve: {} },
    redirectUris: [],
    redirectsBelow: `http://localhost:${port}/gate/callback/`,
  });
  const limits = { begun_flows_per_ipv4_address_per_minute: limit };
  const egress = { allow_cidrs: ["127.0.0.0/8"] };
  server = await startServer({ port, config: { limits, egress, trusted_proxies: ["127.0.0.0/8"] } });
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  const { id, frontendId } = frontdoor;
  const { issuer, clientId, clientSecret } = provider;
  const made = await frontdoor.call("POST", `/frontdoor/${id}/auth-providers`, {
    name: "one",
    type: "OIDC",
    data: { issuer, clientId, clientSecret },
  });
  providerId = made.id;
  await frontdoor.call("PUT", `/frontdoor/${id}/custom-frontends/${frontendId}`, {
    hostname,
    scheme: "https",
    authProviderIds: [providerId],
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
});
beforeEach(() => provider.setAccount("ada"));

let addresses = 0;

/** A browser at an address that nobody else has. */
function newVisitor(): GateVisitor {
  addresses += 1;
  const visitor = new GateVisitor(server, { origin, frontdoor });
  visitor.address = `203.0.113.${addresses}`;
  return visitor;
}

it("a provider's answers that prove nobody are counted, before they bother the provider without end", async () => {
  const visitor = newVisitor();
  const { url: login } = await visitor.open(`${origin}/x`, `http://localhost:${server.port}/gate/login`);
  const callback = `http://localhost:${server.port}/gate/callback/`;
  provider.codes.length = 0;
  const statuses = new Set<number>();
  for (let i = 0; i < 2 * limit; i++) {
    const { location } = (await visitor.hop(login)).headers;
    if (location === undefined) break;
    const state = new URL(String(location)).searchParams.get("state");
    const said = i % 2 === 0 ? `code=nonsense-${i}` : "error=access_denied";
    statuses.add((await visitor.hop(`${callback}${providerId}?state=${state}&${said}`)).status);
  }
  // Of a code that the provider does not know, and of a visitor who said no.
  expect([...statuses].toSorted()).toEqual([400, 403]);
  expect(provider.codes.length).toBeLessThan(limit);
  expect((await visitor.hop(login)).status).toBe(429);
});

it("a visit that has let somebody in several times gives nothing back that others count for", async () => {
  const visitor = newVisitor();
  const { url: login } = await visitor.open(`${origin}/x`, `http://localhost:${server.port}/gate/login`);
  const others = 3;
  for (let i = 0; i < others; i++) await visitor.hop(`${origin}/.vestibule/start`);
  for (const account of ["ada", "eve", "ada", "eve"]) {
    provider.setAccount(account);
    visitor.jar(new URL(provider.issuer).host).clear();
    const shown = await visitor.open(login);
    expect(shown.told?.["x-vestibule-subject"]).toBe(`${providerId}:${account}`);
  }
  // Another browser there: this one has come back so often that it is told so.
  visitor.jar(hostname).clear();
  const begun = await Promise.all(
    Array.from({ length: 2 * limit }, () => visitor.hop(`${origin}/.vestibule/start`)),
  );
  expect(begun.filter(({ status }) => status === 303)).toHaveLength(limit - others);
});

it("who is signed out by a manager while their code is on its way is not in by it", async () => {
  const visitor = newVisitor();
  const { url } = await visitor.open(`${origin}/x`, finish);
  const path = `/frontdoor/${frontdoor.id}/gate-sessions:end`;
  const end = (subject: string) => frontdoor.call("POST", path, { authProviderId: providerId, subject });
  expect(await end("ada")).toEqual({ ended: 0 });
  expect((await visitor.open(url)).status).toBe(400);
  expect(visitor.jar(hostname).has("__Host-vestibule")).toBe(false);
  const again = await visitor.open(`${origin}/x`, finish);
  await end("eve");
  expect(await visitor.open(again.url)).toMatchObject({ status: 200, url: `${origin}/x` });
});
