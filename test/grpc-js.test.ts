/** gRPC's own client for Node (`@grpc/grpc-js`): what its users lean on beside the calls themselves. */
import {
  create,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { basic, tlsCertificate, tlsEnvironment } from "./parts/http.ts";
import { scrape, sumOf } from "./parts/metrics.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const { getCurrentUser } = AuthService.method;
const { tailAuditRecords } = AuditService.method;

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.[Symbol.asyncDispose]());

function openClient(options: grpc.ClientOptions = {}): grpc.Client {
  const client = new grpc.Client(`localhost:${server.port}`, grpc.credentials.createInsecure(), options);
  onTestFinished(() => client.close());
  return client;
}

function withCredential({
  clientId,
  clientSecret,
}: {
  clientId: string;
  clientSecret: string;
}): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", basic({ clientId, clientSecret }).authorization);
  return metadata;
}

/** Path and serialization of a method, as the client takes them. */
function wireOf<Method extends DescMethod>({ input, output, parent, name }: Method) {
  return [
    `/${parent.typeName}/${name}`,
    (message: MessageInitShape<Method["input"]>) => Buffer.from(toBinary(input, create(input, message))),
    (bytes: Buffer) => fromBinary(output, bytes) as MessageShape<Method["output"]>,
  ] as const;
}

interface Answered {
  readonly title: string | undefined;
  readonly header: grpc.Metadata;
}

/** Asks who is calling. @throws grpc.ServiceError */
function whoAmI(
  client: grpc.Client,
  metadata = withCredential(server),
  options: grpc.CallOptions = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    let header = new grpc.Metadata();
    const call = client.makeUnaryRequest(
      ...wireOf(getCurrentUser),
      {},
      metadata,
      options,
      (error, answer) => {
        if (error === null) resolve({ title: answer?.serviceuser?.title, header });
        else reject(error);
      },
    );
    call.on("metadata", (received: grpc.Metadata) => {
      header = received;
    });
  });
}

function tail(
  client: grpc.Client,
  metadata = withCredential(server),
  options: grpc.CallOptions = {},
): grpc.ClientReadableStream<MessageShape<typeof tailAuditRecords.output>> {
  return client.makeServerStreamRequest(...wireOf(tailAuditRecords), {}, metadata, options);
}

/** What a stream ends with. */
function endOf(stream: grpc.ClientReadableStream<unknown>): Promise<grpc.ServiceError | undefined> {
  stream.resume();
  return new Promise((resolve) => {
    stream.once("error", (error) => resolve(error as grpc.ServiceError));
    stream.once("end", () => resolve(undefined));
  });
}

/** Requests under way, beside that for the metrics. */
const countOpen = async () => sumOf(await scrape(server), "vestibule_requests_in_flight") - 1;

describe("a call", () => {
  it("has metadata both ways", async () => {
    const metadata = withCredential(server);
    metadata.set("x-request-id", "grpc-js-1");
    const { title, header } = await whoAmI(openClient(), metadata);
    expect(title).toBe("Bootstrap");
    expect(header.get("x-request-id")).toEqual(["grpc-js-1"]);
  });

  it("says why it is refused, and with which details", async () => {
    const refusal: grpc.ServiceError = await whoAmI(openClient(), new grpc.Metadata()).catch(
      (error) => error,
    );
    expect(refusal).toMatchObject({
      code: grpc.status.UNAUTHENTICATED,
      details: expect.stringMatching(/\S/),
    });
    expect(refusal.metadata.get("grpc-status-details-bin")).toEqual([expect.any(Buffer)]);
    expect(refusal.metadata.get("x-request-id")).toEqual([expect.any(String)]);
  });

  it("has a deadline", async () => {
    const call = whoAmI(openClient(), withCredential(server), { deadline: Date.now() - 1 });
    await expect(call).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
  });

  it("goes over TLS to whom the client trusts", async () => {
    await using secure = await startServer({ env: tlsEnvironment });
    const client = new grpc.Client(`localhost:${secure.port}`, grpc.credentials.createSsl(tlsCertificate));
    onTestFinished(() => client.close());
    expect((await whoAmI(client, withCredential(secure))).title).toBe("Bootstrap");
  });
});

describe("a stream", () => {
  it("ends at its deadline, here too", async () => {
    const stream = tail(openClient(), withCredential(server), { deadline: Date.now() + 1_000 });
    expect(await endOf(stream)).toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED });
    await eventually(async () => expect(await countOpen()).toBe(0));
  });

  it("ends when it is cancelled, here too, and the connection goes on", async () => {
    const client = openClient();
    const stream = tail(client);
    const end = endOf(stream);
    await eventually(async () => expect(await countOpen()).toBe(1));
    stream.cancel();
    expect(await end).toMatchObject({ code: grpc.status.CANCELLED });
    await eventually(async () => expect(await countOpen()).toBe(0));
    expect((await whoAmI(client)).title).toBe("Bootstrap");
  });
});

describe("a refused call that the client's policy lets it make again", () => {
  const policy = {
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 3,
          initialBackoff: "0.01s",
          maxBackoff: "0.01s",
          backoffMultiplier: 1,
          retryableStatusCodes: ["UNAUTHENTICATED"],
        },
      },
    ],
  };
  const wrong = () => withCredential({ ...server, clientSecret: "wrong" });

  it.each<[string, string, grpc.ClientOptions, (client: grpc.Client) => Promise<unknown>]>([
    ["unary", "AuthService/GetCurrentUser", {}, (client) => whoAmI(client, wrong()).catch((error) => error)],
    [
      "unary, compressed",
      "AuthService/GetCurrentUser",
      { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip },
      (client) => whoAmI(client, wrong()).catch((error) => error),
    ],
    ["a stream", "AuditService/TailAuditRecords", {}, (client) => endOf(tail(client, wrong()))],
  ])("comes as often as that says: %s", async (_, method, options, call) => {
    const labels = { route: `/vestibule.v1.${method}`, code: "unauthenticated" };
    const count = async () => sumOf(await scrape(server), "vestibule_requests_total", labels);
    const before = await count();
    const client = openClient({ ...options, "grpc.service_config": JSON.stringify(policy) });
    expect(await call(client)).toMatchObject({ code: grpc.status.UNAUTHENTICATED });
    await eventually(async () => expect((await count()) - before).toBe(3));
  });
});
