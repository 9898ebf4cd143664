/** Every page that somebody may meet on the way in at a frontend, as a person sees it: in a real browser, light, dark and on a phone. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor, joinDefault, type Shown } from "./parts/gate-visitor.ts";
import { basic, postJson } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { heading } from "./parts/pages.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { inspect, openVisit } from "./parts/visit.ts";

const hosts = { own: "own.example.com", acme: "acme.example.com", partners: "partners.example.com" } as const;

let server: TestServer;
let provider: IdentityProvider;
let frontdoor: TestFrontdoor;
let acmeId: string;
let browser: Browser;
let publicUrl: string;

beforeAll(async () => {
  const port = await findFreePort();
  publicUrl = `http://localhost:${port}`;
  provider = await startIdentityProvider({
    accounts: {},
    redirectUris: [],
    redirectsBelow: `${publicUrl}/gate/callback/`,
  });
  const config = {
    egress: { allow_cidrs: ["127.0.0.0/8"] },
    authentication: { passkey: { rpdisplayname: "Example" } },
  };
  [server, browser] = await Promise.all([startServer({ port, config }), launchBrowser()]);
  frontdoor = await createFrontdoor(server, { hostname: hosts.own, scheme: "https" });
  const { issuer, clientId, clientSecret } = provider;
  acmeId = await addFrontend(hosts.acme, "OIDC", { issuer, clientId, clientSecret });
  const { json } = await postJson(
    server,
    "/vestibule.v1.OrganizationService/CreateOrganization",
    { body: { name: "partners", title: "Partners & Co" } },
    basic(server),
  );
  await addFrontend(hosts.partners, "VESTIBULE", { allowedOrgIds: [json.organization.id] });
});
afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
});

/** A frontend with one provider, whose id is answered. */
async function addFrontend(hostname: string, type: string, data: object): Promise<string> {
  const door = `/frontdoor/${frontdoor.id}`;
  const { id } = await frontdoor.call("POST", `${door}/auth-providers`, { name: hostname, type, data });
  await frontdoor.call("POST", `${door}/custom-frontends`, {
    hostname,
    scheme: "https",
    authProviderIds: [id],
  });
  return id;
}

const newVisitor = () =>
  new GateVisitor(server, ...Object.values(hosts).map((host) => ({ origin: `https://${host}`, frontdoor })));

async function newMember(): Promise<GateVisitor> {
  const visitor = newVisitor();
  await visitor.person.signIn(`${crypto.randomUUID()}@example.org`);
  await joinDefault(visitor, basic(server));
  return visitor;
}

const own = `https://${hosts.own}`;

const pages: Readonly<Record<string, () => Promise<Shown>>> = {
  "Welcome back": async () => {
    const visitor = await newMember();
    await visitor.open(`${own}/x`);
    await visitor.submit(await visitor.open(`${own}/.vestibule/logout`));
    return await visitor.open(`${own}/x`);
  },
  [`Tell ${hosts.partners} who you are?`]: async () => {
    const visitor = newVisitor();
    await visitor.person.signIn("partner@example.org");
    const { id } = (await visitor.person.call("GetCurrentUser")).json.user;
    const member = { orgId: "partners", userId: id, role: "viewer" };
    await postJson(server, "/vestibule.v1.OrganizationService/AddMember", member, basic(server));
    return await visitor.open(`https://${hosts.partners}/x`);
  },
  "You are being sent round in circles": async () => {
    const visitor = await newMember();
    for (let round = 0; round < 3; round++) {
      await visitor.open(`${own}/x`);
      visitor.jar(hosts.own).delete("__Host-vestibule");
    }
    return await visitor.open(`${own}/x`);
  },
  "This sign-in is over": async () => {
    const visitor = newVisitor();
    await visitor.open(`${own}/x`);
    return await visitor.open(`${own}/.vestibule/finish?code=x&rt=%2Fx`);
  },
  "This browser keeps no cookies here": () => newVisitor().open(`${own}/.vestibule/finish?code=x`),
  "Nothing is set up at this address": async () => {
    const nowhere = { origin: "https://nowhere.example.com", frontdoor };
    return await new GateVisitor(server, nowhere).open("https://nowhere.example.com/.vestibule/start");
  },
  "You are not signed in": async () => {
    const visitor = newVisitor();
    const answer = await visitor.open(`https://${hosts.acme}/x`, `${publicUrl}/gate/callback/`);
    return await visitor.open(answer.url.replace(/code=[^&]*/, "error=access_denied"));
  },
  "This sign-in began elsewhere": async () => {
    const visitor = newVisitor();
    const answer = await visitor.open(`https://${hosts.acme}/x`, `${publicUrl}/gate/callback/`);
    return await visitor.open(answer.url.replace(acmeId, frontdoor.vestibuleProviderId));
  },
  "Acme.example.com does not answer": async () => {
    const visitor = newVisitor();
    const answer = await visitor.open(`https://${hosts.acme}/x`, `${publicUrl}/gate/callback/`);
    provider.setDown(true);
    return await visitor.open(answer.url).finally(() => provider.setDown(false));
  },
};

it.each(Object.entries(pages))("%s", async (title, find) => {
  const { url, status, headers, text } = await find();
  const visit = await openVisit(browser, [publicUrl, new URL(url).origin]);
  const { page } = visit;
  try {
    // The answer as it was, and from the server the files that it loads, where it is shown.
    const shown = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    await page.route(url, (route) => route.fulfill({ status, headers: shown, body: text }));
    await page.goto(url);
    expect(await heading(page)).toBe(title);
    await inspect(page, `gate-login-${title.replaceAll(/[^A-Za-z]+/g, "-").toLowerCase()}`);
    expect(visit.complaints).toEqual([]);
  } finally {
    await visit.close();
  }
});
