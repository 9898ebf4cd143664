import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@vestibule/proto/google/rpc/error_details_pb";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrontierAliases } from "../frontier/alias.ts";
import { machine, type RunningEdge, startEdge, stubServices } from "../test-support.ts";

const versions = ["1.1", "2"] as const;
type Version = (typeof versions)[number];

const protocols = {
  "Connect JSON": (baseUrl: string, httpVersion: Version) =>
    createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: false }),
  "Connect binary": (baseUrl: string, httpVersion: Version) =>
    createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: true }),
  "Connect GET": (baseUrl: string, httpVersion: Version) =>
    createConnectTransport({ baseUrl, httpVersion, useHttpGet: true }),
  // The client speaks gRPC over HTTP/2 only; `grpc-http1.test.ts` has the other version.
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
  "gRPC-Web": (baseUrl: string, httpVersion: Version) => createGrpcWebTransport({ baseUrl, httpVersion }),
} as const;

const cells = Object.entries(protocols).flatMap(([protocol, open]) =>
  (protocol === "gRPC" ? versions.slice(1) : versions).map((version) => ({ protocol, version, open })),
);

let edge: RunningEdge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge.close());

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new Error("the call succeeded");
}

describe.each(cells)("$protocol over HTTP/$version", ({ version, open }) => {
  const transport = (): Transport => open(version === "2" ? edge.http2 : edge.http1, version);
  const auth = () => createClient(AuthService, transport());
  const serviceUsers = () => createClient(ServiceUserService, transport());
  const signedIn = { headers: { authorization: "Bearer good" } };

  it("answers a call", async () => {
    const answer = await auth().authToken({ clientSecret: "vsts_x" });
    expect(answer).toMatchObject({ accessToken: "vsts_x", tokenType: "Bearer", expiresIn: 3600 });
  });

  it("answers under Frontier's name with the same handlers", async () => {
    const methods = [{ service: "FrontierService", method: AuthService.method.authToken } as const];
    const [alias] = createFrontierAliases(methods, stubServices);
    const client = createClient(alias?.service as unknown as typeof AuthService, transport());
    const answer = await client.authToken({ clientSecret: "vsts_x" });
    expect(answer.accessToken).toBe("vsts_x");
  });

  it("answers the caller's request id", async () => {
    let id: string | null = null;
    await auth().listAuthStrategies(
      {},
      { headers: { "x-request-id": "abc-1" }, onHeader: (h) => (id = h.get("x-request-id")) },
    );
    expect(id).toBe("abc-1");
  });

  it("lets a credential in and refuses its absence", async () => {
    const answer = await auth().getCurrentUser({}, signedIn);
    expect(answer.serviceuser?.id).toBe(machine.id);
    const error = await failureOf(auth().getCurrentUser({}));
    expect(error).toMatchObject({ code: Code.Unauthenticated, rawMessage: "not authenticated" });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "NOT_AUTHENTICATED", domain: "vestibule" },
    ]);
  });

  it("names the field that breaks a rule, and only after the credential", async () => {
    const request = { orgId: "default", body: { title: "x".repeat(201) } };
    expect((await failureOf(serviceUsers().createServiceUser(request))).code).toBe(Code.Unauthenticated);
    const error = await failureOf(serviceUsers().createServiceUser(request, signedIn));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toMatch(/^body\.title: .*200 characters/);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("body.title");
    const fitting = { orgId: "default", body: { title: "x".repeat(200) } };
    expect((await serviceUsers().createServiceUser(fitting, signedIn)).serviceuser?.title).toHaveLength(200);
  });

  it("says when to try again", async () => {
    const error = await failureOf(auth().authToken({ grantType: "limited" }));
    expect(error.code).toBe(Code.Unavailable);
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBe(7n);
    expect(error.metadata.get("retry-after")).toBe("7");
  });

  it("hides what breaks inside", async () => {
    const error = await failureOf(auth().authToken({ grantType: "broken" }));
    expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal server error" });
    expect(edge.lines.find((line) => line.level === "error")).toMatchObject({ message: "call failed" });
  });

  it("refuses a message over the limit and takes one below it", async () => {
    const limit = 1024 * 1024;
    const error = await failureOf(auth().authToken({ assertion: "x".repeat(limit) }));
    expect(error).toMatchObject({
      code: Code.ResourceExhausted,
      rawMessage: `request is larger than ${limit} bytes`,
    });
    // Below the limit the schema speaks.
    const long = await failureOf(auth().authToken({ assertion: "x".repeat(limit - 100) }));
    expect(long.rawMessage).toMatch(/^assertion: /);
  });

  it("answers unimplemented for a method without handler", async () => {
    const error = await failureOf(
      serviceUsers().getServiceUser({ id: machine.id, orgId: "default" }, signedIn),
    );
    expect(error).toMatchObject({ code: Code.Unimplemented, rawMessage: "unimplemented" });
  });

  it("streams health and ends it on drain", async () => {
    edge.health.setServing(true);
    const seen: Status[] = [];
    for await (const { status } of createClient(Health, transport()).watch({})) {
      seen.push(status);
      if (status === Status.SERVING) edge.health.setServing(false);
    }
    expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
  });

  it("cuts a call off at the caller's deadline", async () => {
    const error = await failureOf(auth().authToken({ grantType: "hang" }, { timeoutMs: 50 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
  });
});
