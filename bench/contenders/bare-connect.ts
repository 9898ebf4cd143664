/**
 * The bare limit for RPC: connect-node on HTTP/1.1 and HTTP/2, methods that do
 * the one hash and the one signature of the job and nothing else.
 */
import {
  createHash,
  generateKeyPairSync,
  hash,
  randomUUID,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { LRUCache } from "lru-cache";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const secret = process.env.BENCH_SECRET ?? "";
const stored = createHash("sha256").update(secret).digest();
const header = Buffer.from(JSON.stringify({ alg: "ES256", typ: "at+jwt", kid: "bare" })).toString(
  "base64url",
);
const verified = new LRUCache<string, { sub: string }>({ max: 5000 });

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

function read(token: string): { sub: string } {
  const known = verified.get(token);
  if (known !== undefined) return known;
  const [head = "", payload = "", signature = ""] = token.split(".");
  const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
  if (!verify("sha256", Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url"))) {
    throw new Error("bad token");
  }
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as { sub: string };
  verified.set(token, claims);
  return claims;
}

function routes(router: ConnectRouter): void {
  router.service(AuthService, {
    authToken(request) {
      if (!timingSafeEqual(Buffer.from(hash("sha256", request.clientSecret, "hex"), "hex"), stored)) {
        throw new Error("wrong secret");
      }
      return { accessToken: issue(request.clientId), tokenType: "Bearer", expiresIn: 3600 };
    },
    getCurrentUser(_request, context) {
      const claims = read((context.requestHeader.get("authorization") ?? "").slice("Bearer ".length));
      return {
        serviceuser: { id: claims.sub, title: "Bench", state: "enabled", orgId: "o", role: "viewer" },
      };
    },
  });
}

const handler = connectNodeAdapter({ routes });
createServer(handler).listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => {
  createHttp2Server(handler).listen(Number(process.env.BENCH_H2_PORT), "127.0.0.1", () => {
    process.stdout.write("ready\n");
  });
});
