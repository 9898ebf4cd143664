import { describe, expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import { type AuthenticationNote, createPrincipalChain } from "./chain.ts";
import type { ServiceUserPrincipal } from "./principal.ts";

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
const chain = createPrincipalChain({
  basic: async (id, secret) => (secret === "right" ? serviceUser(id) : Promise.reject(bad)),
  accessToken: async (token) => {
    if (token === "down.down.down") throw new DomainError("UNAVAILABLE");
    if (token === "off.off.off") throw new DomainError("PRINCIPAL_DISABLED");
    return token === "bad.bad.bad" ? Promise.reject(bad) : serviceUser(token.split(".")[0] ?? "");
  },
});

function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
}

describe("principal chain, credentials required", () => {
  it("answers the principal and notes it", async () => {
    const note: AuthenticationNote = {};
    const principal = await chain.authenticate(
      new Headers({ authorization: basic("u1", "right") }),
      "required",
      note,
    );
    expect(principal?.id).toBe("u1");
    expect(note).toEqual({ principal: "serviceuser:u1", credentialKind: "client_secret" });
  });

  it("accepts two credentials of one principal", async () => {
    const header = new Headers({ authorization: "Bearer u1.x.x", "x-user-token": "u1.y.y" });
    expect((await chain.authenticate(header, "required", {}))?.id).toBe("u1");
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
    await expect(chain.authenticate(header, "required", {})).rejects.toMatchObject({
      reason: "NOT_AUTHENTICATED",
      message: "not authenticated",
    });
  });
});

describe("principal chain, open method", () => {
  it("answers a good principal and overlooks a bad or disabled one", async () => {
    const good = new Headers({ authorization: basic("u1", "right") });
    expect((await chain.authenticate(good, "open", {}))?.id).toBe("u1");
    for (const authorization of [basic("u1", "wrong"), "Bearer off.off.off", "nonsense"]) {
      expect(await chain.authenticate(new Headers({ authorization }), "open", {})).toBeUndefined();
    }
    expect(await chain.authenticate(new Headers(), "open", {})).toBeUndefined();
  });

  it("does not overlook an outage", async () => {
    const header = new Headers({ authorization: "Bearer down.down.down" });
    await expect(chain.authenticate(header, "open", {})).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  });
});

describe("principal chain, grant", () => {
  it("judges nothing", async () => {
    const header = new Headers({ authorization: basic("u1", "wrong") });
    expect(await chain.authenticate(header, "grant", {})).toBeUndefined();
  });
});
