import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readBlocks } from "../../../../test/parts/documentation.ts";
import { type ProxyKind, proxyKinds, writeProxyFiles } from "./proxy-files.ts";
import { identityHeaders, type ProxyFileValues } from "./values.ts";

/** As in the documentation. */
const values: ProxyFileValues = {
  frontdoorId: "0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f",
  hostname: "app.example.com",
  scheme: "https",
  keyHeaders: ["X-API-Key"],
  gate: "127.0.0.1:7400",
  upstream: "127.0.0.1:3000",
  listen: "0.0.0.0:443",
  proxyToken: "vstp_PUT_THE_PROXY_TOKEN_HERE",
};

const pages: Readonly<Record<ProxyKind, readonly [page: string, ...languages: string[]]>> = {
  nginx: ["docs/gate/nginx.md", "nginx"],
  caddy: ["docs/gate/caddy.md", "caddy"],
  haproxy: ["docs/gate/haproxy.md", "haproxy", "lua"],
  traefik: ["docs/gate/traefik.md", "yaml"],
  "envoy-http": ["docs/gate/envoy.md", "yaml"],
  "envoy-grpc": ["docs/gate/envoy.md", "yaml"],
};

function textOf(kind: ProxyKind, changed: Partial<ProxyFileValues> = {}): string {
  return writeProxyFiles(kind, { ...values, ...changed })
    .map(({ text }) => text)
    .join("\n");
}

describe.each(proxyKinds)("files for %s", (kind) => {
  it("are what the documentation shows", () => {
    const [page, ...languages] = pages[kind];
    const shown = languages.flatMap((language) => readBlocks(page, language));
    for (const { text } of writeProxyFiles(kind, values)) expect(shown).toContain(text);
  });

  it("set every identity header, and those that a credential comes in", () => {
    const text = textOf(kind, {
      keyHeaders: ["X-API-Key", "X-Other-Key"],
      assertionHeader: "X-JWT-Assertion",
    });
    // By gRPC Envoy tells of every header, and is told by name which to set.
    const keys = kind === "envoy-grpc" ? [] : ["X-API-Key", "X-Other-Key"];
    for (const header of [...identityHeaders, ...keys, "X-JWT-Assertion"]) {
      expect(text.toLowerCase()).toContain(header.toLowerCase());
    }
  });

  it.each<[string, Partial<ProxyFileValues>]>([
    ["a host name with a directive in it", { hostname: "app.example.com; return 200" }],
    ["a host name of two lines", { hostname: "app.example.com\nother" }],
    ["a wildcard in the middle", { hostname: "app.*.example.com" }],
    ["a frontdoor that is no id", { frontdoorId: "../x" }],
    ["a key header with a quote", { keyHeaders: ['X-"Key'] }],
    ["an assertion header with a space", { assertionHeader: "X A" }],
    ["an upstream with a path", { upstream: "127.0.0.1:3000/x" }],
    ["an upstream without a port", { upstream: "127.0.0.1" }],
    ["a gate with a scheme", { gate: "http://127.0.0.1:7400" }],
    ["an address to listen at with a variable", { listen: "$host:80" }],
    ["a token with a brace", { proxyToken: "vstp_{x}" }],
  ])("refuse %s", (_, changed) => {
    expect(() => textOf(kind, changed)).toThrow("cannot be written into a proxy's file");
  });
});

describe("a wildcard", () => {
  it("names the host that was asked for, of one label", () => {
    const wild = { hostname: "*.apps.example.com" };
    expect(textOf("nginx", wild)).toContain("X-Original-URL https://$host$request_uri;");
    expect(textOf("haproxy", wild)).toContain("^[a-z0-9-]+\\.apps\\.example\\.com(:[0-9]+)?$");
    expect(textOf("traefik", wild)).toContain("HostRegexp(`^[a-z0-9-]+\\.apps\\.example\\.com$`)");
    expect(textOf("caddy", wild)).toContain("\n*.apps.example.com {");
  });
});

describe("files in YAML", () => {
  it("have the gate as the last middleware, and nothing that changes the app's path", () => {
    const { http } = parse(textOf("traefik"));
    expect(http.routers.app.middlewares).toEqual(["vestibule-proxy", "vestibule-gate"]);
    expect(http.middlewares["vestibule-gate"].forwardAuth.trustForwardHeader).toBe(false);
    expect(http.middlewares["vestibule-gate"].forwardAuth.authResponseHeaders).toContain(
      "X-Vestibule-Proxy-Token",
    );
  });

  it("have Envoy ask by HTTP with every header that an app may take for the gate's", () => {
    const { static_resources: resources } = parse(
      textOf("envoy-http", { assertionHeader: "X-JWT-Assertion" }),
    );
    const [, gate] = resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters;
    const patterns: { exact?: string; safe_regex?: { regex: string } }[] =
      gate.typed_config.allowed_headers.patterns;
    const isAsked = (name: string) =>
      patterns.some(({ exact, safe_regex: pattern }) =>
        pattern === undefined ? exact === name : new RegExp(`^(?:${pattern.regex})$`).test(name),
      );
    for (const name of [
      ...["x-vestibule-subject", "x.vestibule.subject", "x~vestibule-new", "x-vestibule_groups"],
      ...["x.jwt.assertion", "x-jwt~assertion"],
    ])
      expect([name, isAsked(name)]).toEqual([name, true]);
    for (const name of ["x-vestibul", "accept-language", "xvestibule-subject", "x-jwt-assertions"])
      expect([name, isAsked(name)]).toEqual([name, false]);
  });

  it.each(["envoy-http", "envoy-grpc"] as const)(
    "%s lets nobody in when the gate cannot be asked",
    (kind) => {
      const { static_resources: resources } = parse(textOf(kind));
      const manager = resources.listeners[0].filter_chains[0].filters[0].typed_config;
      const filters = manager.http_filters.map(({ name }: { name: string }) => name);
      expect(filters.slice(1)).toEqual(["envoy.filters.http.ext_authz", "envoy.filters.http.router"]);
      const [, gate] = manager.http_filters;
      expect(gate.typed_config).toMatchObject({ failure_mode_allow: false, validate_mutations: true });
      const [, app] = manager.route_config.virtual_hosts[0].routes;
      const perRoute = app.typed_per_filter_config["envoy.filters.http.ext_authz"];
      expect(perRoute.check_settings.context_extensions).toEqual({ frontdoor_id: values.frontdoorId });
    },
  );
});
