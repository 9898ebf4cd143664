import { expect, test } from "vitest";
import { startLocalServer } from "../../egress/test-support.ts";
import { dryRunProvider } from "./dry-run.ts";
import type { ProviderCheck, ProviderData, ProviderSample, ProviderTypeName } from "./provider-type.ts";
import { createProviderTypes } from "./provider-types.ts";
import { createTestContext, makeKey, startSeconds } from "./test-support.ts";
import { createProviderValidator } from "./validate.ts";

const types = createProviderTypes(createTestContext());
const validator = createProviderValidator(types.list);

function begin(name: ProviderTypeName, data: unknown, sample: ProviderSample = {}, signal?: AbortSignal) {
  return dryRunProvider({
    type: types.get(name),
    validator,
    provider: { orgId: "o1", data: data as ProviderData },
    sample,
    signal: signal ?? new AbortController().signal,
  });
}

async function collect(checks: AsyncIterable<ProviderCheck>): Promise<ProviderCheck[]> {
  const seen: ProviderCheck[] = [];
  for await (const check of checks) seen.push(check);
  return seen;
}

test("stops at data that does not fit, naming everything", async () => {
  const checks = await collect(begin("OIDC", { issuer: 1, clientSecret: "" }));
  expect(checks).toEqual([
    { name: "schema", ok: false, detail: expect.stringContaining("data.issuer must be of string; ") },
  ]);
});

test("begins with the schema; a sample is taken as people paste it, an empty one as none", async () => {
  const key = makeKey("k1");
  const data = { issuer: "ci", audiences: ["a"], jwks: { keys: [key.jwk] } };
  const token = key.sign({ iss: "ci", aud: "a", sub: "s", exp: startSeconds + 60 });
  const checks = await collect(begin("JWT", data, { token: ` Bearer ${token}\n`, apiKey: " " }));
  expect(checks.map(({ name, ok }) => [name, ok])).toEqual([
    ["schema", true],
    ["jwks", true],
    ["sample", true],
  ]);
});

test("ends quietly, in the middle of a fetch, when nobody listens any more", async () => {
  const stop = new AbortController();
  const server = await startLocalServer(() => stop.abort());
  const seen = await collect(begin("OIDC", { issuer: server.origin, clientId: "a" }, {}, stop.signal));
  expect(seen.map(({ name }) => name)).toEqual(["schema", "name_resolution"]);
  await server.close();
});
