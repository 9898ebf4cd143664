/** Every framework's middleware, held to one table of answers (RFC 6750 §3). */
import { once } from "node:events";
import type { OutgoingHttpHeaders } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import express, { type NextFunction, type Request, type Response } from "express";
import { fastify } from "fastify";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BearerOptions } from "../src/middleware/bearer.ts";
import { claimsKey, createAccessTokenInterceptor, getClaims } from "../src/middleware/connect.ts";
import { requireAccessToken as requireInExpress } from "../src/middleware/express.ts";
import { requireAccessToken as requireInFastify } from "../src/middleware/fastify.ts";
import { withAccessToken } from "../src/middleware/http.ts";
import { createVerifier, type Verifier } from "../src/verify/verifier.ts";
import { audience, createTestIssuer, type Listening, listen, type TestIssuer } from "./support.ts";

let issuer: TestIssuer;
let verifier: Verifier;

beforeAll(async () => {
  issuer = await createTestIssuer();
});
afterAll(() => issuer[Symbol.asyncDispose]());
beforeEach(() => {
  issuer.fault = undefined;
  verifier = createVerifier({ issuer: issuer.url, audience, clock: issuer.clock });
});

const broken: Verifier = {
  verifyAccessToken: () => Promise.reject(new Error("canary: a mistake inside")),
};

/** A server that answers the caller's id, or `handled` to show that the handler ran. */
type Serve = (verifier: Verifier, options: BearerOptions) => Promise<Listening>;

const frameworks: Record<string, Serve> = {
  "node:http": (verifier, options) =>
    listen(withAccessToken(verifier, (_, response, claims) => response.end(claims.sub), options)),
  Express: (verifier, options) => {
    const app = express();
    app.use(requireInExpress(verifier, options));
    app.get("/", (request, response) => {
      response.end(request.claims?.sub);
    });
    app.use((_error: unknown, _: Request, response: Response, _next: NextFunction) => {
      response.status(500).end("failed");
    });
    return listen(app);
  },
  Fastify: async (verifier, options) => {
    const app = fastify();
    await app.register(requireInFastify, { verifier, ...options });
    app.get("/", async (request) => request.claims?.sub);
    await app.listen({ port: 0, host: "127.0.0.1" });
    const { port } = app.server.address() as { port: number };
    return {
      url: `http://127.0.0.1:${port}`,
      server: app.server,
      [Symbol.asyncDispose]: async () => void (await app.close()),
    };
  },
};

describe.each(Object.entries(frameworks))("%s", (_, serve) => {
  async function ask(
    authorization: string | undefined,
    options: BearerOptions = {},
    by: Verifier = verifier,
  ): Promise<{ status: number; challenge: string | null; retryAfter: string | null; text: string }> {
    await using serving = await serve(by, options);
    const response = await fetch(serving.url, {
      headers: { connection: "close", ...(authorization !== undefined && { authorization }) },
    });
    return {
      status: response.status,
      challenge: response.headers.get("www-authenticate"),
      retryAfter: response.headers.get("retry-after"),
      text: await response.text(),
    };
  }

  it.each(["Bearer", "bearer", "BEARER", "Bearer  "])("lets a good token in by %j", async (scheme) => {
    const answer = await ask(`${scheme} ${await issuer.sign()}`);
    expect(answer).toMatchObject({
      status: 200,
      text: "018f0000-0000-7000-8000-000000000001",
      challenge: null,
    });
  });

  it.each([undefined, "", "Basic YTpi", "Bearerx y", "Digest bearer"])(
    "asks for a token when there is none: %j",
    async (authorization) => {
      expect(await ask(authorization)).toMatchObject({ status: 401, challenge: "Bearer" });
      const { challenge, text } = await ask(authorization, { realm: 'the "api"' });
      expect(challenge).toBe('Bearer realm="the api"');
      expect(JSON.parse(text)).toEqual({
        error: "unauthorized",
        error_description: "a bearer token is missing",
      });
    },
  );

  it.each(["Bearer", "Bearer a b", "Bearer a,b", 'Bearer "a"', "Bearer a.b.c=d"])(
    "calls a header malformed that is: %j",
    async (authorization) => {
      const { status, challenge } = await ask(authorization);
      expect(status).toBe(400);
      expect(challenge).toBe(
        'Bearer error="invalid_request", error_description="the bearer token is malformed"',
      );
    },
  );

  it("says what is wrong with a token", async () => {
    const expired = await issuer.sign({ claims: { exp: 1_000_000_000 } });
    const { status, challenge, text } = await ask(`Bearer ${expired}`, { realm: "api" });
    expect(status).toBe(401);
    const description =
      "the token expired at 2001-09-09T01:46:40.000Z; the clock here says 2026-11-22T12:00:00.000Z";
    expect(challenge).toBe(`Bearer realm="api", error="invalid_token", error_description="${description}"`);
    expect(JSON.parse(text)).toEqual({ error: "invalid_token", error_description: description });
    expect(await ask("Bearer vstt_opaque")).toMatchObject({ status: 401 });
  });

  it.each<[string, BearerOptions, number]>([
    ["an organization it has", { requiredOrg: "org-2" }, 200],
    ["an organization it has not", { requiredOrg: "org-3" }, 403],
    ["no organization at all", { requiredOrg: "" }, 403],
    ["its type", { requiredSubType: "app/serviceuser" }, 200],
    ["another type", { requiredSubType: "app/user" }, 403],
    ["its organization but another type", { requiredOrg: "org-1", requiredSubType: "app/user" }, 403],
    ["its role in its organization", { requiredOrg: "org-1", requiredRole: "manager" }, 200],
    ["a weaker role than it has", { requiredOrg: "org-1", requiredRole: "viewer" }, 200],
    ["a stronger role than it has", { requiredOrg: "org-1", requiredRole: "owner" }, 403],
    [
      "a role in an organization where it has a weaker one",
      { requiredOrg: "org-2", requiredRole: "manager" },
      403,
    ],
    ["a role of no organization", { requiredRole: "viewer" }, 403],
  ])("answers a token where %s is required", async (_what, options, status) => {
    const claims = {
      organizations: {
        "org-1": { name: "one", roles: ["manager"] },
        "org-2": { name: "two", roles: ["viewer"] },
      },
    };
    const answer = await ask(`Bearer ${await issuer.sign({ claims })}`, options);
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.challenge).toMatch(/^Bearer error="insufficient_scope", /);
  });

  it("says that it cannot tell when there are no keys", async () => {
    issuer.fault = (_request, response) => response.writeHead(500).end();
    const answer = await ask(`Bearer ${await issuer.sign()}`);
    expect(answer).toMatchObject({ status: 503, challenge: null, retryAfter: "30" });
    expect(JSON.parse(answer.text)).toMatchObject({ error: "temporarily_unavailable" });
  });

  it("lets nobody in after a mistake", async () => {
    const answer = await ask("Bearer a.b.c", {}, broken);
    expect(answer.status).toBe(500);
    expect(answer.challenge).toBeNull();
  });
});

it("node:http2 is served by the same wrapper", async () => {
  const server = createHttp2Server(
    withAccessToken(verifier, (_, response, claims) => response.end(claims.sub)),
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const statusWith = async (headers: OutgoingHttpHeaders): Promise<unknown> => {
    const [answer] = await once(session.request({ ":path": "/", ...headers }), "response");
    return answer[":status"];
  };
  expect(await statusWith({})).toBe(401);
  expect(await statusWith({ authorization: `Bearer ${await issuer.sign()}` })).toBe(200);
  session.destroy();
  server.close();
});

describe("Fastify's scopes", () => {
  it("are protected where the plugin is registered and within, found or not, and nowhere else", async () => {
    const app = fastify();
    app.get("/open", async () => "open");
    await app.register(async (scope) => {
      await scope.register(requireInFastify, { verifier });
      scope.get("/closed", async () => "closed");
      await scope.register(async (inner) => {
        await inner.register(requireInFastify, { verifier, requiredSubType: "app/user" });
        inner.get("/inner", async () => "inner");
      });
    });
    const authorization = `Bearer ${await issuer.sign()}`;
    const status = async (url: string, headers = {}) => (await app.inject({ url, headers })).statusCode;
    expect(await status("/open")).toBe(200);
    expect(await status("/closed")).toBe(401);
    expect(await status("/closed", { authorization })).toBe(200);
    expect(await status("/inner", { authorization })).toBe(403);
    await app.close();
  });
});

describe("Connect", () => {
  function callerOf(options: Parameters<typeof createAccessTokenInterceptor>[1], by: Verifier = verifier) {
    const transport = createRouterTransport(
      (router) => {
        router.service(AuthService, {
          getCurrentUser: (_, context) => ({ serviceuser: { id: getClaims(context).sub } }),
          getJWKs: (_, context) => ({ keys: [{ kid: String(context.values.get(claimsKey)) }] }),
        });
      },
      { router: { interceptors: [createAccessTokenInterceptor(by, options)] } },
    );
    return createClient(AuthService, transport);
  }
  const refusalOf = (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      (error: unknown) => ConnectError.from(error),
    );

  it("hands the claims to the handler", async () => {
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const { serviceuser } = await callerOf({ requiredOrg: "org-1" }).getCurrentUser({}, { headers });
    expect(serviceuser?.id).toBe("018f0000-0000-7000-8000-000000000001");
  });

  it("refuses by code, with the challenge", async () => {
    const client = callerOf({ requiredSubType: "app/user", realm: "api" });
    const missing = await refusalOf(client.getCurrentUser({}));
    expect(missing?.code).toBe(Code.Unauthenticated);
    expect(missing?.metadata.get("www-authenticate")).toBe('Bearer realm="api"');
    const malformed = await refusalOf(client.getCurrentUser({}, { headers: { authorization: "Bearer" } }));
    expect(malformed?.code).toBe(Code.Unauthenticated);
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const person = await refusalOf(client.getCurrentUser({}, { headers }));
    expect(person?.code).toBe(Code.PermissionDenied);
    issuer.fault = (_, response) => response.writeHead(500).end();
    issuer.clock.advance(400 + 3600);
    const unknown = await refusalOf(client.getCurrentUser({}, { headers }));
    expect(unknown?.code).toBe(Code.Unavailable);
    expect(unknown?.metadata.get("retry-after")).toBe("30");
  });

  it("lets calls of public methods through, and their handlers have no claims", async () => {
    const client = callerOf({ isPublic: ({ method }) => method.name !== "GetCurrentUser" });
    expect((await client.getJWKs({})).keys[0]?.kid).toBe("undefined");
    expect((await refusalOf(client.getCurrentUser({})))?.code).toBe(Code.Unauthenticated);
    const all = callerOf({ isPublic: () => true });
    expect((await refusalOf(all.getCurrentUser({})))?.code).toBe(Code.Internal);
  });

  it("lets nobody in after a mistake, and does not say which", async () => {
    const refused = await refusalOf(
      callerOf({}, broken).getCurrentUser({}, { headers: { authorization: "Bearer x" } }),
    );
    expect(refused?.code).toBe(Code.Internal);
    expect(refused?.message).not.toContain("canary");
  });
});
