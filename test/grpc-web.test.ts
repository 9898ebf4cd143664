/**
 * gRPC-Web by its own client (`grpc-web`) in a real browser, on a page of another
 * origin, in both of its modes.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { basic } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

/** What runs in the page: a call, and what came of it in plain values. */
const program = `
import { GrpcWebClientBase, MethodDescriptor } from "grpc-web";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";

function describe({ parent, name, methodKind, input, output }) {
  return new MethodDescriptor(
    "/" + parent.typeName + "/" + name, methodKind, Object, Object,
    (message) => toBinary(input, create(input, message)),
    (bytes) => fromBinary(output, bytes),
  );
}
const whoAmI = describe(AuthService.method.getCurrentUser);
const list = describe(AuditService.method.listAuditRecords);

/** The first state of health that a stream tells: by text alone the client shows a message before the stream ends. */
globalThis.watch = (origin) => new Promise((resolve, reject) => {
  const method = describe(Health.method.watch);
  const stream = new GrpcWebClientBase({ format: "text" })
    .serverStreaming(origin + method.getName(), {}, {}, method);
  stream.on("data", ({ status }) => { stream.cancel(); resolve(status); });
  stream.on("error", ({ code, message }) => reject(new Error(code + ": " + message)));
});

globalThis.call = (origin, name, request, metadata, format) => {
  const method = { whoAmI, list }[name];
  return new GrpcWebClientBase({ format })
    .unaryCall(origin + method.getName(), request, metadata, method)
    .then(
      (answer) => ({ title: answer.serviceuser?.title, records: answer.records?.length }),
      ({ code, message }) => ({ code, message }),
    );
};
`;

interface Called {
  readonly title?: string;
  readonly records?: number;
  readonly code?: number;
  readonly message?: string;
}

let server: TestServer;
let browser: Browser;
let page: Page;
let site: ReturnType<typeof createServer>;

beforeAll(async () => {
  site = createServer((_, response) =>
    response.setHeader("content-type", "text/html").end("<title>app</title>"),
  );
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const origin = `http://localhost:${(site.address() as AddressInfo).port}`;
  [server, browser] = await Promise.all([
    startServer({ config: { cors: { allowed_origins: [origin] } } }),
    launchBrowser(),
  ]);
  const bundle = await build({
    stdin: { contents: program, resolveDir: join(import.meta.dirname, "..") },
    bundle: true,
    write: false,
  });
  page = await browser.newPage();
  await page.goto(origin);
  await page.addScriptTag({ content: bundle.outputFiles[0]?.text ?? "" });
}, 120_000);

afterAll(async () => {
  await browser?.close();
  site?.close();
  await server?.[Symbol.asyncDispose]();
});

const formats = ["binary", "text"] as const;
type Format = (typeof formats)[number];

/** Calls from the page. */
function call(
  format: Format,
  name: "whoAmI" | "list",
  request: object,
  credential = server,
): Promise<Called> {
  const metadata = { authorization: basic(credential).authorization };
  const given = [originOf(server), name, request, metadata, format].map((value) => JSON.stringify(value));
  return page.evaluate(`call(${given.join(", ")})`);
}

const originOf = ({ url }: TestServer) => url.replace("127.0.0.1", "localhost");

it.each(formats)("calls from another origin, as %s", async (format) => {
  expect(await call(format, "whoAmI", {})).toEqual({ title: "Bootstrap" });
});

it.each(formats)("is refused with the code and the message, as they are said, as %s", async (format) => {
  const refused = await call(format, "whoAmI", {}, { ...server, clientSecret: "wrong" });
  expect(refused).toEqual({ code: 16, message: "not authenticated" });
  const broken = await call(format, "list", { orgId: "x".repeat(201) });
  expect(broken).toEqual({ code: 3, message: "org_id: must be at most 200 characters" });
});

it.each(formats)("reads a list, as %s", async (format) => {
  expect((await call(format, "list", { pageSize: 100 })).records).toBeGreaterThan(0);
});

it("hears a stream while it lasts, as text", async () => {
  expect(await page.evaluate(`watch(${JSON.stringify(originOf(server))})`)).toBe(1);
});
