/**
 * The bare limit for plain HTTP: `node:http` handlers that parse the form,
 * compare one SHA-256 and sign once, or answer a constant body.
 */
import { generateKeyPairSync, hash, randomUUID, sign, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const stored = Buffer.from(hash("sha256", process.env.BENCH_SECRET ?? "", "hex"), "hex");
const header = Buffer.from(JSON.stringify({ alg: "ES256", typ: "at+jwt", kid: "bare" })).toString(
  "base64url",
);
const jwks = JSON.stringify({
  keys: [{ ...publicKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "bare" }],
});

function issue(sub: string): string {
  const iat = Math.floor(Date.now() / 1000);
  const claims = {
    iss: "http://localhost",
    sub,
    aud: "http://localhost",
    iat,
    exp: iat + 3600,
    jti: randomUUID(),
  };
  const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

createServer((request, response) => {
  if (request.url === "/.well-known/jwks.json") {
    response.setHeader("content-type", "application/jwk-set+json");
    response.end(jwks);
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const presented = Buffer.from(hash("sha256", form.get("client_secret") ?? "", "hex"), "hex");
    if (!timingSafeEqual(presented, stored)) {
      response.statusCode = 401;
      response.end();
      return;
    }
    response.setHeader("content-type", "application/json");
    response.setHeader("cache-control", "no-store");
    const token = issue(form.get("client_id") ?? "");
    response.end(JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 3600 }));
  });
}).listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => process.stdout.write("ready\n"));
