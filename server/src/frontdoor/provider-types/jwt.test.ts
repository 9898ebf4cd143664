import { expect, test } from "vitest";
import { createJwtType } from "./jwt.ts";
import { createTestContext, lendIssuer, makeKey, runTest, startSeconds, toOutline } from "./test-support.ts";

const key = makeKey("k1");

const claims = { iss: "ci", aud: ["other", "app"], azp: "runner", sub: "job-1", exp: startSeconds + 600 };
const context = createTestContext();
const type = createJwtType(context);

const inline = {
  id: "p1",
  orgId: "o1",
  data: { issuer: "ci", audiences: ["app"], jwks: { keys: [key.jwk as never] } },
};

async function setUpRemote() {
  const issuer = await lendIssuer(key);
  const data = { issuer: "ci", audiences: ["app"], jwksUri: `${issuer.origin}/jwks` };
  return { issuer, provider: { id: "p1", orgId: "o1", data } };
}

const decideOn = (provider: typeof inline, token: string) =>
  type.authenticate(provider, { kind: "access_token", token });

test("judges by keys written into the provider, asking nobody", async () => {
  expect(type.accepts(inline.data)).toEqual({ issuers: ["ci"], own: false });
  expect(await decideOn(inline, key.sign(claims))).toMatchObject({
    allowed: true,
    identity: { subject: "job-1" },
  });
  expect(await decideOn(inline, makeKey("k1").sign(claims))).toMatchObject({ reason: "bad_signature" });
  expect(await decideOn(inline, makeKey("k2").sign(claims))).toMatchObject({ reason: "unknown_key" });
});

test("judges by keys at an address, fetched once", async () => {
  const { issuer, provider } = await setUpRemote();
  for (let call = 0; call < 3; call += 1) {
    expect(
      await type.authenticate(provider, { kind: "access_token", token: key.sign(claims) }),
    ).toMatchObject({
      allowed: true,
    });
  }
  expect(issuer.seen).toEqual(["GET /jwks"]);
});

test.each([
  [{ iss: "cj" }, "wrong_issuer"],
  [{ aud: "other" }, "wrong_audience"],
  [{ exp: startSeconds - 60 }, "expired"],
])("refuses %j", async (change, reason) => {
  expect(await decideOn(inline, key.sign({ ...claims, ...change }))).toMatchObject({ reason });
});

test("holds to the named algorithms", async () => {
  const provider = { ...inline, data: { ...inline.data, algorithms: ["RS256"] } };
  expect(await decideOn(provider, key.sign(claims))).toMatchObject({ reason: "wrong_algorithm" });
});

test("takes no opaque token", async () => {
  expect(await type.authenticate(inline, { kind: "opaque_token", token: "x" })).toMatchObject({
    reason: "wrong_kind",
  });
});

test("its dry run looks at the keys, inline or fetched, and at a sample", async () => {
  const token = key.sign(claims);
  expect(toOutline(await runTest(type, inline, { token }))).toBe("jwks sample");
  const { issuer, provider } = await setUpRemote();
  expect(toOutline(await runTest(type, provider, { token }))).toBe("name_resolution jwks sample");
  issuer.keySet.keys = [];
  expect(toOutline(await runTest(type, provider, { token }))).toBe("name_resolution !jwks !sample");
  await issuer.close();
  expect(toOutline(await runTest(type, provider, { token }))).toBe("name_resolution !jwks !sample");
  const inside = { ...provider, data: { ...provider.data, jwksUri: "https://192.168.0.1/jwks" } };
  expect(toOutline(await runTest(type, inside))).toBe("!name_resolution");
});

test("an API key is no sample", async () => {
  expect(toOutline(await runTest(type, inline, { apiKey: "x" }))).toBe("jwks !sample_kind");
});
