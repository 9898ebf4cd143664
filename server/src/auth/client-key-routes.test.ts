import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { expect, it } from "vitest";
import { newRequestInfo } from "../sessions/test-support.ts";
import { createClientKeyRoutes } from "./client-key-routes.ts";

const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
const p256 = pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
const rsa = pem(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);

it("shows the public halves of all keys of a client, under the names that its assertions have them by", async () => {
  const [route, ...others] = createClientKeyRoutes([
    { name: "plain", clientAuthentication: { method: "announced", secret: "s" } },
    { name: "acme", clientAuthentication: { method: "private_key_jwt", keys: [p256, rsa] } },
    { name: "apple", clientAuthentication: { method: "apple", teamId: "T", keyId: "K", key: p256 } },
  ]);
  expect(others).toEqual([]);
  expect(route).toMatchObject({ method: "GET", path: "/auth/clients/acme/jwks.json" });
  const answer = await route?.handle({
    method: "GET",
    path: route.path,
    query: new URLSearchParams(),
    header: new Headers(),
    body: Buffer.from(""),
    info: newRequestInfo(),
  });
  expect(answer?.headers).toMatchObject({ "content-type": "application/jwk-set+json" });
  const { keys } = JSON.parse(String(answer?.body)) as { keys: Record<string, unknown>[] };
  const expected = await Promise.all(
    [p256, rsa].map(async (each) => {
      const key = createPublicKey(each);
      const kid = await calculateJwkThumbprint(key);
      return {
        ...key.export({ format: "jwk" }),
        kid,
        use: "sig",
        alg: key.asymmetricKeyType === "rsa" ? "RS256" : "ES256",
      };
    }),
  );
  expect(keys).toEqual(expected);
});
