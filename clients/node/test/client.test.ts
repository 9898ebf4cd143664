/** What the client does with a transport in the test's hand: what is sent, how often, with which token. */
import {
  Code,
  ConnectError,
  createRouterTransport,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { beforeEach, describe, expect, it } from "vitest";
import {
  clientSecret,
  createVestibule,
  findReason,
  type Vestibule,
  type VestibuleOptions,
} from "../src/index.ts";
import { rejectionOf } from "./support.ts";

/** `Method authorization` of every call that arrived. */
let calls: string[];
/** What a call is refused with, by method and how often it came; undefined for good answers. */
let refuse: (method: string, count: number, authorization: string) => ConnectError | undefined;

beforeEach(() => {
  calls = [];
  refuse = () => undefined;
});

function arrive({ method, requestHeader }: HandlerContext): object {
  const authorization = requestHeader.get("authorization") ?? "-";
  calls.push(`${method.name} ${authorization}`);
  const refusal = refuse(method.name, countOf(method.name), authorization);
  if (refusal !== undefined) throw refusal;
  return {};
}

function countOf(method: string): number {
  return calls.filter((call) => call.startsWith(`${method} `)).length;
}

function makeClient(options: Partial<VestibuleOptions> = {}): Vestibule {
  return createVestibule({
    baseUrl: "http://vestibule.example",
    credentials: clientSecret({ clientId: "id", clientSecret: "canary-secret" }),
    retry: { initialDelayMs: 1, maxDelayMs: 1 },
    transport: (interceptors) =>
      createRouterTransport(
        ({ service }) => {
          service(AuthService, {
            authToken: (_, context) => {
              arrive(context);
              return { accessToken: `token-${countOf("AuthToken")}`, tokenType: "Bearer", expiresIn: 3600 };
            },
            getJWKs: (_, context) => arrive(context),
            getCurrentUser: (_, context) => arrive(context),
          });
          service(ServiceUserService, {
            createServiceUser: (_, context) => arrive(context),
            disableServiceUser: (_, context) => arrive(context),
          });
          service(AuditService, {
            async *tailAuditRecords(_, context) {
              arrive(context);
              yield {};
            },
          });
          service(Health, {
            check: (_, context) => {
              arrive(context);
              return { status: HealthCheckResponse_ServingStatus.SERVING };
            },
          });
        },
        { transport: { interceptors } },
      ),
    ...options,
  });
}

const unavailable = () => new ConnectError("temporarily unavailable", Code.Unavailable);
const unauthenticated = () => new ConnectError("not authenticated", Code.Unauthenticated);

describe("tokens", () => {
  it("are fetched with the first call that needs one and sent with all", async () => {
    const vestibule = makeClient();
    await vestibule.auth.getJWKs({});
    expect(calls).toEqual(["GetJWKs -"]);
    await Promise.all([vestibule.auth.getCurrentUser({}), vestibule.serviceUsers.createServiceUser({})]);
    await vestibule.client(Health).check({});
    for await (const _ of vestibule.audit.tailAuditRecords({})) break;
    expect(calls.slice(1)).toEqual([
      "AuthToken -",
      "GetCurrentUser Bearer token-1",
      "CreateServiceUser Bearer token-1",
      "Check Bearer token-1",
      "TailAuditRecords Bearer token-1",
    ]);
    expect(await vestibule.getAccessToken()).toBe("token-1");
  });

  it("are one for a thousand calls at a time", async () => {
    const vestibule = makeClient();
    await Promise.all(Array.from({ length: 1000 }, () => vestibule.auth.getCurrentUser({})));
    expect(countOf("AuthToken")).toBe(1);
  });

  it.each(["authorization", "x-user-token"])("do not replace a call's own %s", async (name) => {
    await makeClient().auth.getCurrentUser({}, { headers: { [name]: "own" } });
    expect(countOf("AuthToken")).toBe(0);
  });

  it("are not asked for without credentials", async () => {
    const vestibule = createVestibule({ baseUrl: "http://vestibule.example" });
    await expect(vestibule.getAccessToken()).rejects.toThrow("getAccessToken needs credentials");
  });

  it("are not sent to the method that gives them", async () => {
    const vestibule = makeClient();
    await vestibule.getAccessToken();
    await vestibule.auth.authToken({});
    expect(calls).toEqual(["AuthToken -", "AuthToken -"]);
  });

  it("carry the project and the organization that are asked for", async () => {
    let asked: (string | null)[] = [];
    const vestibule = makeClient({
      project: "p-1",
      organization: "acme",
      transport: (interceptors) =>
        createRouterTransport(
          ({ service }) =>
            service(AuthService, {
              authToken: (_, { requestHeader }) => {
                asked = [requestHeader.get("x-project"), requestHeader.get("x-organization")];
                return { accessToken: "t", expiresIn: 60 };
              },
            }),
          { transport: { interceptors } },
        ),
    });
    await vestibule.getAccessToken();
    expect(asked).toEqual(["p-1", "acme"]);
  });

  it("are not shown to the caller's own interceptors", async () => {
    const seen: unknown[] = [];
    const log: Interceptor = (next) => async (request) => {
      const response = await next(request);
      seen.push(request.method.name, request.header.get("authorization"));
      return response;
    };
    await makeClient({ interceptors: [log] }).auth.getCurrentUser({});
    expect(seen).toEqual(["GetCurrentUser", null]);
    expect(calls.at(-1)).toBe("GetCurrentUser Bearer token-1");
  });
});

describe("a refused token", () => {
  it("is replaced once, and the call repeated, whatever the method", async () => {
    refuse = (method, _, authorization) =>
      method !== "AuthToken" && authorization === "Bearer token-1" ? unauthenticated() : undefined;
    const vestibule = makeClient();
    await Promise.all(Array.from({ length: 20 }, () => vestibule.serviceUsers.createServiceUser({})));
    expect(countOf("AuthToken")).toBe(2);
    expect(countOf("CreateServiceUser")).toBe(40);
    expect(await vestibule.getAccessToken()).toBe("token-2");
  });

  it("is not replaced without end", async () => {
    refuse = (method) => (method === "AuthToken" ? undefined : unauthenticated());
    const vestibule = makeClient();
    for (let i = 0; i < 20; i++) {
      await expect(vestibule.auth.getCurrentUser({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    }
    expect(countOf("AuthToken")).toBe(2);
    expect(countOf("GetCurrentUser")).toBe(21);
  });

  it("is not replaced by itself", async () => {
    refuse = () => unauthenticated();
    const vestibule = makeClient({
      credentials: { kind: "access_token", fetchToken: async () => ({ accessToken: "same" }) },
    });
    await expect(vestibule.auth.getCurrentUser({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    expect(calls).toEqual(["GetCurrentUser Bearer same"]);
  });

  it("ends a stream; the next has a new one", async () => {
    refuse = (method, count) =>
      method === "TailAuditRecords" && count === 1 ? unauthenticated() : undefined;
    const vestibule = makeClient();
    const follow = async (): Promise<void> => {
      for await (const _ of vestibule.audit.tailAuditRecords({})) break;
    };
    await expect(follow()).rejects.toMatchObject({ code: Code.Unauthenticated });
    await follow();
    expect(calls.filter((call) => call.startsWith("Tail"))).toEqual([
      "TailAuditRecords Bearer token-1",
      "TailAuditRecords Bearer token-2",
    ]);
  });
});

describe("a refused credential", () => {
  it("is told apart from a refused call, keeps its code and reason, and shows no secret", async () => {
    refuse = (method) => (method === "AuthToken" ? unauthenticated() : undefined);
    const errors: unknown[] = [];
    const vestibule = makeClient({ onTokenError: (error) => errors.push(error) });
    const error = await rejectionOf(vestibule.auth.getCurrentUser({}));
    expect(error).toMatchObject({
      code: Code.Unauthenticated,
      rawMessage: "no access token: not authenticated",
    });
    expect(findReason(error)).toBeUndefined();
    expect(errors).toHaveLength(1);
    await expect(vestibule.auth.getCurrentUser({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    expect(calls).toEqual(["AuthToken -"]);
    expect(JSON.stringify([error, (error as ConnectError).details, String(error)])).not.toContain("canary");
  });
});

describe("an unavailable server", () => {
  it("is asked again for what may be repeated", async () => {
    refuse = (_, count) => (count < 4 ? unavailable() : undefined);
    const client = makeClient();
    await client.auth.getCurrentUser({});
    expect([countOf("AuthToken"), countOf("GetCurrentUser")]).toEqual([4, 4]);
    await client.serviceUsers.disableServiceUser({});
    expect(countOf("DisableServiceUser")).toBe(4);
  });

  it("is asked a bounded number of times", async () => {
    refuse = () => unavailable();
    await expect(makeClient().auth.getJWKs({})).rejects.toMatchObject({ code: Code.Unavailable });
    expect(countOf("GetJWKs")).toBe(4);
    await expect(makeClient().auth.getCurrentUser({})).rejects.toMatchObject({
      rawMessage: "no access token: temporarily unavailable",
    });
    expect(countOf("AuthToken")).toBe(4);
  });

  it("is not asked again for what may not be repeated", async () => {
    refuse = (method) => (method === "CreateServiceUser" ? unavailable() : undefined);
    await expect(makeClient().serviceUsers.createServiceUser({})).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    expect(countOf("CreateServiceUser")).toBe(1);
  });

  it("is asked again for a token by secret, not by an assertion that it may have seen", async () => {
    refuse = () => unavailable();
    const { auth } = makeClient();
    await rejectionOf(auth.authToken({ grantType: "client_credentials" }));
    expect(countOf("AuthToken")).toBe(4);
    calls = [];
    await rejectionOf(auth.authToken({ assertion: "a.b.c" }));
    expect(countOf("AuthToken")).toBe(1);
  });

  it("is not asked again if so wished", async () => {
    refuse = () => unavailable();
    await rejectionOf(makeClient({ retry: false }).auth.getJWKs({}));
    expect(countOf("GetJWKs")).toBe(1);
  });

  it.each([
    ["the caller", (signal: AbortSignal) => ({ signal }), Code.Canceled],
    ["the deadline", () => ({ timeoutMs: 30 }), Code.DeadlineExceeded],
  ])("is not waited for longer than %s wants", async (_, toOptions, code) => {
    const controller = new AbortController();
    refuse = () => {
      setTimeout(() => controller.abort(), 5);
      return unavailable();
    };
    const { auth } = makeClient({ retry: { initialDelayMs: 1e6, maxDelayMs: 1e6 } });
    await expect(auth.getJWKs({}, toOptions(controller.signal))).rejects.toMatchObject({ code });
  });
});

it.each<Partial<VestibuleOptions>>([
  { baseUrl: "" },
  { baseUrl: "vestibule.example" },
  { baseUrl: "ftp://vestibule.example" },
  { protocol: "grpc", httpVersion: "1.1" },
])("there is no client with %j", (options) => {
  expect(() => makeClient(options)).toThrow(TypeError);
});
