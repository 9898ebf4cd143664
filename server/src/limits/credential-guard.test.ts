import { beforeEach, describe, expect, it } from "vitest";
import type { AuditRefusal } from "../audit/audit.ts";
import { DomainError, type Reason } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";
import { createPrincipalChain, type PrincipalChain } from "../principals/judge.ts";
import type { PresentedCredential } from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import { createTestJudge } from "../principals/test-support.ts";
import { type CredentialGuard, createCredentialGuard } from "./credential-guard.ts";
import { createFailureLimits } from "./failure-limits.ts";
import { WindowCounts } from "./window-counts.ts";

const machine: Principal = {
  type: "serviceuser",
  id: "019a0000-0000-7000-8000-000000000001",
  orgId: "019a0000-0000-7000-8000-000000000002",
  role: "viewer",
  superuser: false,
  authVia: "client_credentials",
  credentialKind: "client_secret",
  credentialId: "019a0000-0000-7000-8000-000000000003",
};
const clientId = machine.credentialId;
const otherClientId = "019a0000-0000-7000-8000-000000000004";

let nowMs: number;
let refusals: AuditRefusal[];
let guard: CredentialGuard;

beforeEach(() => {
  nowMs = Date.UTC(2027, 0, 1);
  refusals = [];
  const counts = new WindowCounts({ windowMs: 60_000, maxKeys: 1000 });
  const now = () => new Date(nowMs);
  const good = new Set<string>();
  const failures = createFailureLimits({
    goodClients: {
      note: ({ block, clientId }) => void good.add(`${block} ${clientId}`),
      isKnown: async ({ block, clientId }) => good.has(`${block} ${clientId}`),
    },
    counts: {
      addTogether: async (key) => counts.add(key, now()),
      total: (key) => counts.total(key, now()),
      add: (key) => counts.add(key, now()),
      secondsUntilBelow: (key, limit) => counts.secondsUntilBelow(key, limit, now()),
    },
    perClient: 20,
    perAddress: 100,
  });
  guard = createCredentialGuard({
    failures,
    audit: { refuse: (_, refusal) => void refusals.push(refusal) },
  });
});

function requestFrom(clientAddress: string): RequestInfo {
  return { requestId: "r", clientAddress, fromTrustedProxy: false, userAgent: "", outcome: {} };
}

/** The guard before a judge that says the same of every credential. */
function guardOver(judge: () => Promise<Principal>) {
  return guard({ judge: async () => ({ principal: await judge() }) });
}

function secretOf(id: string): PresentedCredential {
  return { kind: "basic", id, secret: "s" };
}

/** Presents a secret; answers `ok` or the reason of the refusal. */
async function present(
  address: string,
  id: string | undefined,
  isGood: boolean,
  kind: "access_token" | "opaque_token" | "session" = "access_token",
): Promise<Reason | "ok"> {
  const presented: PresentedCredential =
    id !== undefined ? secretOf(id) : kind === "session" ? { kind, cookie: "c" } : { kind, token: "t" };
  const judge = async () => {
    if (isGood) return machine;
    throw new DomainError("NOT_AUTHENTICATED", { detail: "wrong client secret" });
  };
  try {
    await guardOver(judge).judge(presented, requestFrom(address));
    return "ok";
  } catch (error) {
    if (error instanceof DomainError) return error.reason;
    throw error;
  }
}

async function failTimes(
  times: number,
  address: string,
  idOf: (index: number) => string,
): Promise<(Reason | "ok")[]> {
  const answers: (Reason | "ok")[] = [];
  for (let index = 0; index < times; index += 1) answers.push(await present(address, idOf(index), false));
  return answers;
}

const toId = (index: number) => `019a0000-0000-7000-8000-${String(index).padStart(12, "0")}`;
const wrong = (times: number) => Array<Reason>(times).fill("NOT_AUTHENTICATED");

describe("failures of one client from one address", () => {
  it("hear that they are wrong 20 times, and then that there were too many", async () => {
    expect(await failTimes(22, "192.0.2.1", () => clientId)).toEqual([
      ...wrong(20),
      "TOO_MANY_FAILURES",
      "TOO_MANY_FAILURES",
    ]);
  });

  it("keep even a good secret from being judged there, until the window has rolled on", async () => {
    await failTimes(20, "192.0.2.1", () => clientId);
    expect(await present("192.0.2.1", clientId, true)).toBe("TOO_MANY_FAILURES");
    nowMs += 64_999;
    expect(await present("192.0.2.1", clientId, true)).toBe("TOO_MANY_FAILURES");
    nowMs += 1;
    expect(await present("192.0.2.1", clientId, true)).toBe("ok");
  });

  it("say when to try again", async () => {
    await failTimes(20, "192.0.2.1", () => clientId);
    nowMs += 10_000;
    const refused = guardOver(async () => machine).judge(secretOf(clientId), requestFrom("192.0.2.1"));
    await expect(refused).rejects.toMatchObject({ kind: "resource_exhausted", retryAfterSeconds: 55 });
  });

  it("never touch the same client elsewhere, nor another client here", async () => {
    await failTimes(30, "192.0.2.1", () => clientId);
    expect(await present("192.0.2.2", clientId, true)).toBe("ok");
    expect(await present("192.0.2.2", clientId, false)).toBe("NOT_AUTHENTICATED");
    expect(await present("192.0.2.1", otherClientId, true)).toBe("ok");
  });

  it("count a /64 as one address, and an upper-case id as the same client", async () => {
    await failTimes(20, "2001:db8::1", () => clientId);
    expect(await present("2001:db8::ffff:1", clientId.toUpperCase(), true)).toBe("TOO_MANY_FAILURES");
    expect(await present("2001:db8:0:1::1", clientId, true)).toBe("ok");
  });

  it("count texts that are no id as one client", async () => {
    const answers = await failTimes(21, "192.0.2.1", (index) => `vsts_${index}`);
    expect(answers).toEqual([...wrong(20), "TOO_MANY_FAILURES"]);
  });

  it("tell no more than 20 of those made at once that they are wrong", async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => present("192.0.2.1", clientId, false)),
    );
    expect(answers.filter((answer) => answer === "NOT_AUTHENTICATED")).toHaveLength(20);
  });
});

describe("failures of one address", () => {
  it("hear that they are wrong 100 times, whoever they claim to be", async () => {
    expect(await failTimes(102, "192.0.2.1", toId)).toEqual([
      ...wrong(100),
      "TOO_MANY_FAILURES",
      "TOO_MANY_FAILURES",
    ]);
    expect(await present("192.0.2.1", otherClientId, true)).toBe("TOO_MANY_FAILURES");
    expect(await present("192.0.2.2", otherClientId, true)).toBe("ok");
  });

  it("do not lock out a client that succeeded there before", async () => {
    await present("192.0.2.1", otherClientId, true);
    await failTimes(100, "192.0.2.1", (index) => toId(index + 100));
    expect(await present("192.0.2.1", otherClientId, true)).toBe("ok");
    expect(await present("192.0.2.1", toId(9), true)).toBe("TOO_MANY_FAILURES");
  });

  it("include tokens and what cannot be read, of which a good one is never refused", async () => {
    for (let count = 0; count < 99; count += 1) await present("192.0.2.1", undefined, false, "access_token");
    const unreadable = { kind: "malformed", detail: "basic: no colon" } as const;
    await expect(
      guardOver(async () => machine).judge(unreadable, requestFrom("192.0.2.1")),
    ).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    expect(await present("192.0.2.1", undefined, false, "access_token")).toBe("TOO_MANY_FAILURES");
    expect(await present("192.0.2.1", undefined, true, "access_token")).toBe("ok");
    expect(await present("192.0.2.1", undefined, true, "opaque_token")).toBe("ok");
    expect(await present("192.0.2.1", clientId, true)).toBe("TOO_MANY_FAILURES");
  });
});

describe("a judge that waits for nothing", () => {
  const presented: PresentedCredential = { kind: "access_token", token: "t" };
  const refusal = new DomainError("NOT_AUTHENTICATED", { detail: "bad token" });
  const refusing = () =>
    guard({
      judge: () => {
        throw refusal;
      },
    });

  it("has its refusals rejected, counted and recorded as those of one that waits", async () => {
    for (let count = 0; count < 100; count += 1) {
      const judged = refusing().judge(presented, requestFrom("192.0.2.1"));
      await expect(judged).rejects.toBe(refusal);
    }
    expect(await present("192.0.2.1", undefined, false)).toBe("TOO_MANY_FAILURES");
    expect(refusals).toHaveLength(101);
  });

  it("is behind the counts of secrets, too", async () => {
    for (let count = 0; count < 20; count += 1) {
      const judged = refusing().judge(secretOf(clientId), requestFrom("192.0.2.1"));
      await expect(judged).rejects.toBe(refusal);
    }
    const good = guard({ judge: () => ({ principal: machine }) });
    const judged = good.judge(secretOf(clientId), requestFrom("192.0.2.1"));
    await expect(judged).rejects.toMatchObject({ reason: "TOO_MANY_FAILURES" });
  });

  it("answers at once for a good one, and notes whose it is", () => {
    const request = requestFrom("192.0.2.1");
    const good = guard({ judge: () => ({ principal: machine }) });
    expect(good.judge(presented, request)).toEqual({ principal: machine });
    expect(request.outcome.principal).toBe(`serviceuser:${machine.id}`);
  });
});

describe("what does not count", () => {
  it.each([
    ["an outage", new DomainError("UNAVAILABLE")],
    ["a failure of ours", new TypeError("broken")],
    ["a malformed request", new DomainError("INVALID_REQUEST")],
  ])("%s", async (_, failure) => {
    for (let count = 0; count < 120; count += 1) {
      const { judge } = guardOver(() => Promise.reject(failure));
      const judged = judge(secretOf(clientId), requestFrom("192.0.2.1"));
      await expect(judged).rejects.toBe(failure);
    }
    expect(await present("192.0.2.1", clientId, true)).toBe("ok");
    expect(refusals).toEqual([]);
  });

  it("a dead session, which is no machine's", async () => {
    for (let count = 0; count < 120; count += 1) await present("192.0.2.1", undefined, false, "session");
    expect(await present("192.0.2.1", undefined, false, "access_token")).toBe("NOT_AUTHENTICATED");
  });
});

describe("what is recorded", () => {
  it("a refusal with its reason, its credential's id and its owner", async () => {
    const owner = { type: "serviceuser", id: machine.id, orgId: machine.orgId } as const;
    const refusal = new DomainError("PRINCIPAL_DISABLED", { detail: "disabled", owner });
    const request = requestFrom("192.0.2.1");
    const judged = guardOver(() => Promise.reject(refusal)).judge(secretOf(clientId), request);
    await expect(judged).rejects.toBe(refusal);
    expect(refusals).toEqual([
      {
        action: "credential.refuse",
        reason: "PRINCIPAL_DISABLED",
        detail: "disabled",
        credentialKind: "client_secret",
        credentialId: clientId,
        target: clientId,
        actor: { type: "serviceuser", id: machine.id },
        orgId: machine.orgId,
      },
    ]);
  });

  it("the credential itself where its holder's id was presented in its place", async () => {
    const owner = { type: "serviceuser", id: machine.id, credentialId: otherClientId } as const;
    const refusal = new DomainError("NOT_AUTHENTICATED", { owner });
    const { judge } = guardOver(() => Promise.reject(refusal));
    const judged = judge(secretOf(machine.id), requestFrom("192.0.2.1"));
    await expect(judged).rejects.toBe(refusal);
    expect(refusals).toMatchObject([{ credentialId: otherClientId, target: otherClientId }]);
  });

  it("one that was not judged any more", async () => {
    await failTimes(21, "192.0.2.1", () => clientId);
    expect(refusals.at(-1)).toMatchObject({ reason: "TOO_MANY_FAILURES", credentialId: clientId });
  });

  it("never what stands in the client id's place and is none", async () => {
    await present("192.0.2.1", "vsts_secret", false);
    expect(JSON.stringify(refusals)).not.toContain("vsts_secret");
  });
});

describe("a chain behind the guard", () => {
  const judge = createTestJudge({
    basic: async (_, secret) => {
      if (secret === "right") return machine;
      throw new DomainError("NOT_AUTHENTICATED", { detail: "wrong client secret" });
    },
    accessToken: async (token) => {
      if (token === "good.b.c") return { ...machine, id: "other", credentialKind: "access_token" };
      throw new DomainError("NOT_AUTHENTICATED", { detail: "bad token" });
    },
  });
  const findSessionCookies = () => [];
  const basic = (secret: string, token?: string) => {
    const authorization = `Basic ${Buffer.from(`${clientId}:${secret}`).toString("base64")}`;
    return new Headers({ authorization, ...(token && { "x-user-token": token }) });
  };
  let chain: PrincipalChain;
  beforeEach(() => {
    chain = createPrincipalChain({ judge, guarded: guard(judge), findSessionCookies });
  });

  it("limits by the id in the header", async () => {
    const ask = (secret: string) => chain.authenticate(basic(secret), "required", requestFrom("192.0.2.1"));
    expect(await ask("right")).toBe(machine);
    for (let count = 0; count < 20; count += 1) {
      await expect(ask("wrong")).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    }
    await expect(ask("right")).rejects.toMatchObject({ reason: "TOO_MANY_FAILURES" });
  });

  it("notes the principal, and the kind of what is refused, in an open method too", async () => {
    const request = requestFrom("192.0.2.1");
    await chain.authenticate(basic("right"), "required", request);
    expect(request.outcome).toEqual({
      principal: `serviceuser:${machine.id}`,
      credentialKind: "client_secret",
    });
    for (const policy of ["required", "open"] as const) {
      const refused = requestFrom("192.0.2.1");
      await Promise.resolve(chain.authenticate(basic("wrong"), policy, refused)).catch(() => undefined);
      expect(refused.outcome).toEqual({ credentialKind: "client_secret" });
    }
  });

  it("records nothing where nothing was presented, or where a method overlooks it", async () => {
    const none = chain.authenticate(new Headers(), "required", requestFrom("192.0.2.1"));
    await expect(none).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    expect(await chain.authenticate(basic("wrong"), "open", requestFrom("192.0.2.1"))).toBeUndefined();
    expect(await chain.authenticate(basic("wrong"), "grant", requestFrom("192.0.2.1"))).toBeUndefined();
    await expect(chain.authenticateAgain(basic("wrong"))).rejects.toMatchObject({ detail: /wrong/ });
    expect(refusals).toEqual([]);
  });

  it("records what cannot be read", async () => {
    const header = new Headers({ authorization: "Basic ***" });
    await expect(chain.authenticate(header, "required", requestFrom("192.0.2.1"))).rejects.toMatchObject({
      reason: "NOT_AUTHENTICATED",
    });
    expect(refusals).toMatchObject([{ credentialKind: "malformed", detail: "basic: not base64 of UTF-8" }]);
  });

  it.each([
    ["bad.b.c", { credentialKind: "access_token", detail: "bad token" }],
    ["good.b.c", { credentialKind: "client_secret", detail: "two credentials name different principals" }],
  ])("records of two credentials the one that is refused: %s", async (token, expected) => {
    const asked = chain.authenticate(basic("right", token), "required", requestFrom("192.0.2.1"));
    await expect(asked).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    expect(refusals).toMatchObject([expected]);
  });
});
