import { describe, expect, test } from "vitest";
import { load, problemsOf, tls } from "./test-support.ts";

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
const files = { "/srv/ca.pem": tls.cert, "/srv/key.pem": tls.key, "/srv/other.txt": "not PEM" };
const read = (env: Record<string, string>) => load({ env, files }).tracing;
const refuse = (env: Record<string, string>) => problemsOf({ env: { ...endpoint, ...env }, files });

describe("what asks for traces", () => {
  test.each([
    ["nothing", {}, undefined],
    ["an endpoint", endpoint, ["otlp"]],
    ["an endpoint for traces", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://c:4318/x" }, ["otlp"]],
    ["an endpoint that is empty", { OTEL_EXPORTER_OTLP_ENDPOINT: "" }, undefined],
    ["an exporter", { OTEL_TRACES_EXPORTER: "otlp" }, ["otlp"]],
    ["the console", { OTEL_TRACES_EXPORTER: "Console" }, ["console"]],
    ["both exporters", { OTEL_TRACES_EXPORTER: "otlp, console" }, ["otlp", "console"]],
    ["no exporter, with an endpoint", { ...endpoint, OTEL_TRACES_EXPORTER: "none" }, undefined],
    ["the disabled SDK, with an endpoint", { ...endpoint, OTEL_SDK_DISABLED: "TRUE" }, undefined],
    ["the SDK not disabled", { ...endpoint, OTEL_SDK_DISABLED: "yes" }, ["otlp"]],
    ["endpoints of other signals", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://c:4318" }, undefined],
  ])("%s", (_, env, expected) => {
    const tracing = read(env);
    expect(tracing && [...(tracing.otlp ? ["otlp"] : []), ...(tracing.console ? ["console"] : [])]).toEqual(
      expected,
    );
  });

  test("where nothing does, nothing else is looked at", () => {
    const env = { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_TRACES_SAMPLER: "dice" };
    expect(problemsOf({ env })).toEqual([]);
    expect(problemsOf({ env: { ...env, ...endpoint, OTEL_SDK_DISABLED: "true" } })).toEqual([]);
  });
});

test("with an exporter alone, everything has the standard's default", () => {
  expect(read({ OTEL_TRACES_EXPORTER: "otlp" })).toEqual({
    otlp: {
      url: "http://localhost:4318/v1/traces",
      headers: {},
      timeoutMs: 10_000,
      gzip: false,
      ca: undefined,
      clientCert: undefined,
      clientKey: undefined,
    },
    console: false,
    resourceAttributes: { "service.name": "vestibule" },
    sampler: { followsParent: true, ratio: 1 },
    takesTraceContext: true,
    batch: { delayMs: 5000, exportTimeoutMs: 30_000, mostWaiting: 2048, perExport: 512 },
  });
});

test("what is said of traces wins over what is said of all signals", () => {
  const tracing = read({
    ...endpoint,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://traces.example.com/in?tenant=1",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/protobuf",
    OTEL_EXPORTER_OTLP_TIMEOUT: "1",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "600000",
    OTEL_EXPORTER_OTLP_COMPRESSION: "none",
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_HEADERS: "a=1,b=2",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: " b = %33, ",
  });
  expect(tracing?.otlp).toMatchObject({
    url: "https://traces.example.com/in?tenant=1",
    timeoutMs: 600_000,
    gzip: true,
    headers: { a: "1", b: "3" },
  });
});

test.each([
  ["http://c:4318", "http://c:4318/v1/traces"],
  ["http://c:4318/", "http://c:4318/v1/traces"],
  ["https://c/otlp/", "https://c/otlp/v1/traces"],
])("the general endpoint %s becomes that of traces", (OTEL_EXPORTER_OTLP_ENDPOINT, url) => {
  expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT })?.otlp?.url).toBe(url);
});

test.each([
  ["always_on", false, 1],
  ["always_off", false, 0],
  ["traceidratio", false, 0.25],
  ["parentbased_always_on", true, 1],
  ["parentbased_always_off", true, 0],
  ["ParentBased_TraceIdRatio", true, 0.25],
])("the sampler %s", (OTEL_TRACES_SAMPLER, followsParent, ratio) => {
  const env = { ...endpoint, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: "0.25" };
  expect(read(env)?.sampler).toEqual({ followsParent, ratio });
});

test.each([
  ["tracecontext,baggage", true],
  ["baggage", false],
  ["none", false],
])("the propagators %s", (OTEL_PROPAGATORS, expected) => {
  expect(read({ ...endpoint, OTEL_PROPAGATORS })?.takesTraceContext).toBe(expected);
});

test("the service's name wins over the attribute, and values are decoded", () => {
  const OTEL_RESOURCE_ATTRIBUTES = "service.name=b,team=a%20b%2Cc,empty=";
  expect(read({ ...endpoint, OTEL_RESOURCE_ATTRIBUTES })?.resourceAttributes).toEqual({
    "service.name": "b",
    team: "a b,c",
    empty: "",
  });
  const named = read({ ...endpoint, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME: "c" });
  expect(named?.resourceAttributes["service.name"]).toBe("c");
});

test("certificates are read", () => {
  const env = {
    OTEL_EXPORTER_OTLP_CERTIFICATE: "ca.pem",
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "/srv/ca.pem",
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: "key.pem",
  };
  expect(read({ ...endpoint, ...env })?.otlp).toMatchObject({
    ca: tls.cert,
    clientCert: tls.cert,
    clientKey: tls.key,
  });
});

test.each([
  ["OTEL_TRACES_EXPORTER", "zipkin", "must be none, or otlp"],
  ["OTEL_TRACES_EXPORTER", "otlp,none", "must be none, or otlp"],
  ["OTEL_TRACES_EXPORTER", "otlp,", "must be none, or otlp"],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an http:// or https:// URL"],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://c", "must be an http:// or https:// URL"],
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"],
  ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "must be http/protobuf"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "secret", "must be name=value pairs"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "=secret", "must be name=value pairs"],
  ["OTEL_EXPORTER_OTLP_HEADERS", "a b=secret", "must be name=value pairs"],
  ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=secret%0a", "must be name=value pairs"],
  ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=%secret", "must be name=value pairs"],
  ["OTEL_EXPORTER_OTLP_TIMEOUT", "0", "must be a whole number from 1 to 600000"],
  ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "600001", "must be a whole number from 1 to 600000"],
  ["OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "must be gzip or none"],
  ["OTEL_EXPORTER_OTLP_CERTIFICATE", "missing.pem", "must name a file that can be read, got ENOENT"],
  ["OTEL_EXPORTER_OTLP_CERTIFICATE", "other.txt", "must name a file that holds a certificate in PEM form"],
  ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "ca.pem", "must be given together with"],
  ["OTEL_EXPORTER_OTLP_CLIENT_KEY", "key.pem", "must be given together with"],
  ["OTEL_RESOURCE_ATTRIBUTES", "secret", "must be name=value pairs"],
  ["OTEL_TRACES_SAMPLER", "jaeger_remote", "must be always_on, always_off or traceidratio"],
  ["OTEL_TRACES_SAMPLER", "parentbased_", "must be always_on, always_off or traceidratio"],
  ["OTEL_PROPAGATORS", "b3", "must be tracecontext, baggage or both"],
  ["OTEL_BSP_SCHEDULE_DELAY", "-1", "must be a whole number from 1 to 600000"],
  ["OTEL_BSP_EXPORT_TIMEOUT", "1s", "must be a whole number from 1 to 600000"],
  ["OTEL_BSP_MAX_QUEUE_SIZE", "100001", "must be a whole number from 1 to 100000"],
  ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049", "must be at most OTEL_BSP_MAX_QUEUE_SIZE"],
])("refuses %s=%s by its name, without the value", (name, text, expected) => {
  const problems = refuse({ [name]: text });
  expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name}: `))]);
  expect(problems[0]).toContain(expected);
  expect(problems[0]).not.toContain("secret");
});

test.each(["-0.1", "1.1", "1e-1", "half", "NaN"])("refuses the ratio %s", (OTEL_TRACES_SAMPLER_ARG) => {
  const env = { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG };
  expect(refuse(env)).toEqual(["OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1"]);
});

test.each([
  ["0", 0],
  ["1", 1],
  ["1.0", 1],
  [".5", 0.5],
])("takes the ratio %s", (OTEL_TRACES_SAMPLER_ARG, ratio) => {
  const env = { ...endpoint, OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG };
  expect(read(env)?.sampler.ratio).toBe(ratio);
});
