/** Envoy's question by gRPC, over the wire: from a typed client, and from a shell by reflection as the page shows it. */
import { createClient } from "@connectrpc/connect";
import { Authorization } from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { openTransport } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
let frontdoor: TestFrontdoor;
beforeAll(async () => {
  server = await startServer();
  frontdoor = await createFrontdoor(server, { hostname: "app.example.com", scheme: "https" });
});
afterAll(() => server?.[Symbol.asyncDispose]());

async function check(headers: Record<string, string>, token = frontdoor.proxyToken) {
  using open = openTransport(server.url, "gRPC", "h2c");
  const http = { method: "GET", path: "/app", host: "app.example.com", scheme: "https", headers };
  const attributes = { request: { http }, contextExtensions: { frontdoor_id: frontdoor.id } };
  return await createClient(Authorization, open.transport).check(
    { attributes },
    { headers: { "x-vestibule-proxy-token": token } },
  );
}

describe("Check", () => {
  it("lets in who has a good token, and takes the token off the request", async () => {
    const { status, httpResponse } = await check({ authorization: `Bearer ${await frontdoor.signToken()}` });
    expect(status?.code).toBe(0);
    if (httpResponse.case !== "okResponse") throw new Error(`it is ${httpResponse.case}`);
    const set = Object.fromEntries(
      httpResponse.value.headers.map(({ header }) => [header?.key, header?.value]),
    );
    expect(set["x-vestibule-subject"]).toBe(`${frontdoor.jwtProviderId}:ada`);
    expect(httpResponse.value.headersToRemove).toContain("authorization");
  });

  it("denies who has none, and a proxy that has not proven itself", async () => {
    const nobody = await check({});
    expect([nobody.status?.code, nobody.httpResponse.case]).toEqual([16, "deniedResponse"]);
    const unproven = await check({ authorization: `Bearer ${await frontdoor.signToken()}` }, "vstp_other");
    expect([unproven.status?.code, unproven.httpResponse.case]).toEqual([7, "deniedResponse"]);
  });
});

it("is asked from a shell, by reflection", async () => {
  const [command = ""] = readBlocks("docs/gate/envoy.md", "sh").filter((block) => block.includes("buf curl"));
  const variables = { F: frontdoor.id, PROXY_TOKEN: frontdoor.proxyToken, KEY: frontdoor.apiKey };
  const answer = JSON.parse(await runShell(command, server, variables));
  expect(answer.okResponse.headersToRemove).toContain("x-api-key");
});
