/**
 * gRPC-Web by its own client (`grpc-web`) in a real browser, on a page of another
 * origin, in its binary mode.
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

function describe({ parent, name, input, output }) {
  return new MethodDescriptor(
    "/" + parent.typeName + "/" + name, "unary", Object, Object,
    (message) => toBinary(input, create(input, message)),
    (bytes) => fromBinary(output, bytes),
  );
}
const whoAmI = describe(AuthService.method.getCurrentUser);
const list = describe(AuditService.method.listAuditRecords);

globalThis.call = (origin, name, request, metadata) => {
  const method = { whoAmI, list }[name];
  return new GrpcWebClientBase({ format: "binary" })
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

/** Calls from the page. */
function call(name: "whoAmI" | "list", request: object, credential = server): Promise<Called> {
  const origin = server.url.replace("127.0.0.1", "localhost");
  const metadata = { authorization: basic(credential).authorization };
  const given = [origin, name, request, metadata].map((value) => JSON.stringify(value));
  return page.evaluate(`call(${given.join(", ")})`);
}

it("calls from another origin", async () => {
  expect(await call("whoAmI", {})).toEqual({ title: "Bootstrap" });
});

it("is refused with the code and the message", async () => {
  const refused = await call("whoAmI", {}, { ...server, clientSecret: "wrong" });
  expect(refused).toEqual({ code: 16, message: expect.stringMatching(/\S/) });
  const broken = await call("list", { orgId: "x".repeat(201) });
  expect(broken).toEqual({ code: 3, message: expect.stringContaining("org_id") });
});

it("reads a list", async () => {
  expect((await call("list", { pageSize: 100 })).records).toBeGreaterThan(0);
});
