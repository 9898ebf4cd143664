import { expect, it } from "vitest";
import type { PlainRequest } from "../http/plain-route.ts";
import { createRenderPage } from "./frame.ts";
import { findPublicUrl, navigate } from "./navigation.ts";

function get(host: string, query = "", method = "GET"): PlainRequest {
  return {
    method,
    path: "/login",
    query: new URLSearchParams(query),
    header: new Headers({ host }),
    body: new Uint8Array(),
    info: { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} },
  };
}

it.each([
  ["127.0.0.1:7400", "", "http://localhost:7400/login"],
  ["[::1]:7400", "a=1&b=%2F", "http://localhost:7400/login?a=1&b=%2F"],
  ["localhost:7400", "", undefined],
  ["LOCALHOST:7400", "", undefined],
  ["localhost:9999", "", undefined],
  ["192.0.2.1:7400", "", undefined],
  ["localhost.evil.example", "", undefined],
  ["", "", undefined],
])("a page asked for at %j with %j is found at %j", (host, query, expected) => {
  expect(findPublicUrl(get(host, query), "http://localhost:7400")).toBe(expected);
});

it("stays where it is behind a proxy that reaches it by loopback, and for forms", () => {
  expect(findPublicUrl(get("127.0.0.1:7400"), "https://id.example.org")).toBeUndefined();
  expect(findPublicUrl(get("127.0.0.1:7400"), "http://localhost:8080")).toBeUndefined();
  expect(findPublicUrl(get("127.0.0.1:7400"), "https://localhost")).toBeUndefined();
  expect(findPublicUrl(get("127.0.0.1:7400", "", "POST"), "http://localhost:7400")).toBeUndefined();
});

it("leaves by a redirect within the site, and by a page of its own for elsewhere", () => {
  const render = createRenderPage("Site");
  const within = navigate(render, "/account", "https://id.example.org", ["sid=1"]);
  expect(within).toMatchObject({ status: 303, headers: { location: "/account", "set-cookie": ["sid=1"] } });
  expect(navigate(render, "https://id.example.org/account", "https://id.example.org").status).toBe(303);
  const away = navigate(render, "https://app.example.org/a?b=1&c=2", "https://id.example.org", ["sid=1"]);
  expect(away).toMatchObject({ status: 200, headers: { "set-cookie": ["sid=1"] } });
  expect(away.headers).not.toHaveProperty("location");
  expect(away.body).toContain('content="0; url=https://app.example.org/a?b=1&#38;c=2"');
});
