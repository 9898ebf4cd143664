import { describe, expect, it } from "vitest";
import { findCookies } from "../http/node-http.ts";
import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { createPrincipalChain } from "./judge.ts";
import { sessionCookieName } from "./presented.ts";
import type { ServiceUserPrincipal } from "./principal.ts";
import { createTestJudge } from "./test-support.ts";

function serviceUser(id: string): ServiceUserPrincipal {
  return {
    type: "serviceuser",
    id,
    orgId: "o1",
    role: "viewer",
    superuser: false,
    credentialId: "c1",
    authVia: "client_credentials",
    credentialKind: "client_secret",
  };
}

const bad = new DomainError("NOT_AUTHENTICATED");
const judge = createTestJudge({
  basic: async (id, secret) => (secret === "right" ? serviceUser(id) : Promise.reject(bad)),
  accessToken: async (token) => {
    if (token === "down.down.down") throw new DomainError("UNAVAILABLE");
    if (token === "off.off.off") throw new DomainError("PRINCIPAL_DISABLED");
    return token === "bad.bad.bad" ? Promise.reject(bad) : serviceUser(token.split(".")[0] ?? "");
  },
});
const chain = createPrincipalChain({
  judge,
  // What the guard adds is tested where it is.
  guarded: {
    judge: judge.judge,
    refuse: (_, detail) => {
      throw new DomainError("NOT_AUTHENTICATED", { detail });
    },
  },
  findSessionCookies: (header) => findCookies(header, sessionCookieName),
});

function toRequest(): RequestInfo {
  return { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} };
}

function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
}

describe("principal chain, credentials required", () => {
  it("answers the principal", async () => {
    const header = new Headers({ authorization: basic("u1", "right") });
    expect((await chain.authenticate(header, "required", toRequest()))?.id).toBe("u1");
  });

  it("accepts two credentials of one principal", async () => {
    const header = new Headers({ authorization: "Bearer u1.x.x", "x-user-token": "u1.y.y" });
    expect((await chain.authenticate(header, "required", toRequest()))?.id).toBe("u1");
  });

  it.each([
    ["no credential", new Headers()],
    ["a bad credential", new Headers({ authorization: basic("u1", "wrong") })],
    ["two principals", new Headers({ authorization: basic("u1", "right"), "x-user-token": "u2.x.x" })],
    [
      "a bad one beside a good one",
      new Headers({ authorization: basic("u1", "right"), "x-user-token": "bad.bad.bad" }),
    ],
    [
      "a good one beside a bad one",
      new Headers({ authorization: basic("u1", "wrong"), "x-user-token": "u1.x.x" }),
    ],
    ["a kind nobody judges", new Headers({ authorization: "Bearer opaque" })],
    ["a cookie nobody judges", new Headers({ cookie: "sid=x", "x-user-token": "u1.x.x" })],
    ["a malformed header", new Headers({ authorization: "Basic", "x-user-token": "u1.x.x" })],
  ])("refuses %s", async (_name, header) => {
    await expect(chain.authenticate(header, "required", toRequest())).rejects.toMatchObject({
      reason: "NOT_AUTHENTICATED",
      message: "not authenticated",
    });
  });
});

describe("principal chain, open method", () => {
  it("answers a good principal and overlooks a bad or disabled one", async () => {
    const good = new Headers({ authorization: basic("u1", "right") });
    expect((await chain.authenticate(good, "open", toRequest()))?.id).toBe("u1");
    for (const authorization of [basic("u1", "wrong"), "Bearer off.off.off", "nonsense"]) {
      expect(await chain.authenticate(new Headers({ authorization }), "open", toRequest())).toBeUndefined();
    }
    expect(await chain.authenticate(new Headers(), "open", toRequest())).toBeUndefined();
  });

  it("does not overlook an outage", async () => {
    const header = new Headers({ authorization: "Bearer down.down.down" });
    await expect(chain.authenticate(header, "open", toRequest())).rejects.toMatchObject({
      reason: "UNAVAILABLE",
    });
  });
});

describe("principal chain, grant", () => {
  it("judges nothing", async () => {
    const header = new Headers({ authorization: basic("u1", "wrong") });
    expect(await chain.authenticate(header, "grant", toRequest())).toBeUndefined();
  });
});
