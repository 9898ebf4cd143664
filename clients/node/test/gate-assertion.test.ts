/** Assertions of the gate, and the middleware that asks for one. */
import { once } from "node:events";
import { request as send } from "node:http";
import express, { type NextFunction, type Request, type Response } from "express";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { requireGateAssertion } from "../src/middleware/express.ts";
import { type GateOptions, withGateAssertion } from "../src/middleware/gate.ts";
import { createGateVerifier, type GateVerifier } from "../src/verify/gate-assertion.ts";
import { TokenError } from "../src/verify/token-error.ts";
import { createVerifier } from "../src/verify/verifier.ts";
import {
  createIssuerKey,
  createTestIssuer,
  type Listening,
  listen,
  rejectionOf,
  type TestIssuer,
  type TokenChanges,
} from "./support.ts";

const origin = "https://app.example.com";
const subject = "0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f:alice";

let issuer: TestIssuer;
let verifier: GateVerifier;

beforeAll(async () => {
  issuer = await createTestIssuer();
});
afterAll(() => issuer[Symbol.asyncDispose]());
beforeEach(() => {
  issuer.fault = undefined;
  verifier = createGateVerifier({ issuer: issuer.url, audience: origin, clock: issuer.clock });
});

/** As the gate signs it. An undefined claim is left out. */
async function assert({ claims, header, ...rest }: TokenChanges = {}): Promise<string> {
  const iat = Math.floor(issuer.clock.now().getTime() / 1000);
  const none = { client_id: undefined, jti: undefined, gen: undefined, sub_type: undefined };
  return await issuer.sign({
    ...rest,
    header: { typ: "vestibule-gate+jwt", ...header },
    claims: {
      ...none,
      nbf: undefined,
      auth_via: undefined,
      aud: origin,
      exp: iat + 60,
      sub: subject,
      provider: "0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f",
      email: "alice@example.com",
      email_verified: true,
      name: "Alice",
      org_ids: ["org-1"],
      groups: ["staff", ""],
      ...claims,
    },
  });
}

const anonymous = {
  sub: undefined,
  provider: undefined,
  email: undefined,
  email_verified: undefined,
  name: undefined,
  org_ids: undefined,
  groups: undefined,
};

describe("an assertion", () => {
  it.each(["ES256", "RS256", "EdDSA"])("signed by %s says who comes in", async (algorithm) => {
    const key = await createIssuerKey("one", algorithm);
    const { keys } = issuer;
    issuer.keys = [key];
    expect(await verifier.verifyGateAssertion(await assert({ key }))).toMatchObject({
      iss: issuer.url,
      aud: origin,
      sub: subject,
      email: "alice@example.com",
      email_verified: true,
      groups: ["staff", ""],
    });
    issuer.keys = keys;
  });

  it("says that the gate was passed where nobody is known", async () => {
    const claims = await verifier.verifyGateAssertion(await assert({ claims: anonymous }));
    expect(claims).toEqual({
      iss: issuer.url,
      aud: origin,
      iat: expect.any(Number),
      exp: expect.any(Number),
    });
    expect(Object.isFrozen(claims)).toBe(true);
  });

  it.each<[string, TokenChanges, string]>([
    ["the type of an access token", { header: { typ: "at+jwt" } }, "TOKEN_TYPE"],
    ["any JWT's type", { header: { typ: "JWT" } }, "TOKEN_TYPE"],
    ["no type", { header: { typ: undefined } }, "TOKEN_TYPE"],
    ["its type with a prefix", { header: { typ: "application/vestibule-gate+jwt" } }, "TOKEN_TYPE"],
    ["another issuer", { claims: { iss: "https://other.example" } }, "TOKEN_ISSUER"],
    ["another app's origin", { claims: { aud: "https://other.example.com" } }, "TOKEN_AUDIENCE"],
    ["the host without its scheme", { claims: { aud: "app.example.com" } }, "TOKEN_AUDIENCE"],
    ["a list of audiences", { claims: { aud: [origin] } }, "TOKEN_CLAIMS"],
    ["no end", { claims: { exp: undefined } }, "TOKEN_CLAIMS"],
    ["an end that is past", { claims: { exp: 1_000_000_000 } }, "TOKEN_EXPIRED"],
    ["a subject that nobody vouches for", { claims: { provider: undefined } }, "TOKEN_CLAIMS"],
    ["a provider of nobody", { claims: { sub: undefined } }, "TOKEN_CLAIMS"],
    ["an empty subject", { claims: { sub: "" } }, "TOKEN_CLAIMS"],
    ["an address that is not proven", { claims: { email_verified: false } }, "TOKEN_CLAIMS"],
    [
      "an address of nobody",
      { claims: { ...anonymous, email: "a@b.c", email_verified: true } },
      "TOKEN_CLAIMS",
    ],
    ["groups that are a text", { claims: { groups: "staff" } }, "TOKEN_CLAIMS"],
    ["an unknown key", { header: { kid: "second" } }, "TOKEN_KEY_UNKNOWN"],
  ])("is refused with %s", async (_, changes, reason) => {
    const error = await rejectionOf(verifier.verifyGateAssertion(await assert(changes)));
    expect(error).toBeInstanceOf(TokenError);
    expect(error).toMatchObject({ reason });
  });

  it("is refused when another key signed it", async () => {
    const key = await createIssuerKey("first");
    const error = await rejectionOf(verifier.verifyGateAssertion(await assert({ key })));
    expect(error).toMatchObject({ reason: "TOKEN_SIGNATURE" });
  });

  it("ends with its minute and what clocks may disagree, remembered or not", async () => {
    const assertion = await assert();
    await verifier.verifyGateAssertion(assertion);
    issuer.clock.advance(119);
    await verifier.verifyGateAssertion(assertion);
    issuer.clock.advance(1);
    expect(await rejectionOf(verifier.verifyGateAssertion(assertion))).toMatchObject({
      reason: "TOKEN_EXPIRED",
    });
  });

  it("is no access token, and an access token is none", async () => {
    const tokens = createVerifier({ issuer: issuer.url, audience: origin, clock: issuer.clock });
    expect(await rejectionOf(tokens.verifyAccessToken(await assert()))).toMatchObject({
      reason: "TOKEN_TYPE",
    });
    expect(await rejectionOf(verifier.verifyGateAssertion(await issuer.sign()))).toMatchObject({
      reason: "TOKEN_TYPE",
    });
  });

  it("needs to be told whose and for whom", () => {
    expect(() => createGateVerifier({ issuer: "", audience: origin })).toThrow(TypeError);
    expect(() => createGateVerifier({ issuer: issuer.url, audience: [] })).toThrow(TypeError);
  });
});

type Serve = (verifier: GateVerifier, options: GateOptions) => Promise<Listening>;

const frameworks: Record<string, Serve> = {
  "node:http": (verifier, options) =>
    listen(
      withGateAssertion(verifier, (_, response, claims) => response.end(claims.sub ?? "nobody"), options),
    ),
  Express: (verifier, options) => {
    const app = express();
    app.use(requireGateAssertion(verifier, options));
    app.get("/", (request, response) => {
      response.end(request.gate?.sub ?? "nobody");
    });
    app.use((_error: unknown, _: Request, response: Response, _next: NextFunction) => {
      response.status(500).end("failed");
    });
    return listen(app);
  },
};

describe.each(Object.entries(frameworks))("%s", (_, serve) => {
  async function ask(headers: Record<string, string | string[]>, options: GateOptions = {}, by = verifier) {
    await using serving = await serve(by, options);
    const request = send(serving.url, { headers, agent: false });
    request.end();
    const [response] = await once(request, "response");
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    const { statusCode: status, headers: answered } = response;
    return { status, headers: answered, text: Buffer.concat(chunks).toString() };
  }

  it("lets in what came through the gate as somebody", async () => {
    const assertion = await assert();
    expect(await ask({ "X-Vestibule-Assertion": assertion })).toMatchObject({ status: 200, text: subject });
    const header = "X-JWT-Assertion";
    expect(await ask({ [header]: assertion }, { header })).toMatchObject({ status: 200, text: subject });
  });

  it("refuses what did not, and what names itself otherwise", async () => {
    const assertion = await assert();
    for (const headers of [
      {},
      { "X-Vestibule-Assertion": "" },
      { "X-Vestibule-Assertion": "none" },
      { "X-Vestibule-Assertion": [assertion, assertion] },
      { "X-JWT-Assertion": assertion },
      { "X-Vestibule-Subject": subject },
      { authorization: `Bearer ${assertion}` },
      { "X-Vestibule-Assertion": await assert({ claims: { aud: "https://other.example" } }) },
    ]) {
      const answer = await ask(headers as Record<string, string>);
      expect(answer).toMatchObject({ status: 403, headers: { "cache-control": "no-store" } });
      expect(JSON.parse(answer.text)).toMatchObject({ error: "forbidden" });
    }
  });

  it("lets nobody in as nobody, unless that will do", async () => {
    const headers = { "x-vestibule-assertion": await assert({ claims: anonymous }) };
    expect((await ask(headers)).status).toBe(403);
    expect(await ask(headers, { allowAnonymous: true })).toMatchObject({ status: 200, text: "nobody" });
    expect((await ask({}, { allowAnonymous: true })).status).toBe(403);
  });

  it("says that it cannot tell when there are no keys, and lets nobody in after a mistake", async () => {
    const headers = { "x-vestibule-assertion": await assert() };
    const broken = { verifyGateAssertion: () => Promise.reject(new Error("canary: a mistake inside")) };
    const failed = await ask(headers, {}, broken);
    expect(failed.status).toBe(500);
    expect(failed.text).not.toContain("canary");
    issuer.fault = (_request, response) => response.writeHead(500).end();
    expect(await ask(headers)).toMatchObject({ status: 503, headers: { "retry-after": "30" } });
  });
});
