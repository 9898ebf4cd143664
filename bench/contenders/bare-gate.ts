/**
 * The bare limit of a gate: `node:http` handlers that know no frontend, no
 * policy and no proxy. `/judged` verifies a credential once and has it in an
 * LRU from then on, `/first` verifies each by `jose`; both answer the headers
 * that a proxy takes over. Everything else is 200 and nothing more.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { LRUCache } from "lru-cache";

const keys = createLocalJWKSet(JSON.parse(process.env.BENCH_JWKS ?? "{}") as JSONWebKeySet);
const rules = {
  issuer: process.env.BENCH_ISSUER ?? "",
  audience: process.env.BENCH_AUDIENCE ?? "",
  algorithms: ["ES256"],
};
const apiKey = process.env.BENCH_API_KEY ?? "";
const session = process.env.BENCH_SESSION ?? "";
const judged = new LRUCache<string, readonly string[]>({ max: 65_536 });
/** As long as a signed assertion, and as an id. */
const [assertion, id] = ["a".repeat(600), "i".repeat(36)];

/** All but `Cookie`, which is the request's. */
function toHead(subject: string): readonly string[] {
  return [
    ...["X-Vestibule-Subject", `${id}:${subject}`, "X-Vestibule-Email", "ada@example.com"],
    ...["X-Vestibule-Name", "Ada", "X-Vestibule-Provider", id, "X-Vestibule-Organizations", ""],
    ...["X-Vestibule-Groups", "dev,ops", "X-Vestibule-Assertion", assertion],
    ...["Authorization", "", "X-API-Key", "", "Content-Length", "0"],
  ];
}

function allow(head: readonly string[], request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, [...head, "Cookie", request.headers.cookie ?? ""]).end();
}

async function verify({ headers: { authorization = "", "x-api-key": key, cookie } }: IncomingMessage) {
  if (authorization === "" && key === undefined) {
    return session !== "" && cookie?.includes(session) === true ? toHead("ada") : undefined;
  }
  if (key !== undefined) return key === apiKey ? toHead("key") : undefined;
  const { payload } = await jwtVerify(authorization.slice("Bearer ".length), keys, rules);
  return toHead(payload.sub ?? "");
}

createServer((request, response) => {
  if (request.url === "/judged") {
    const { authorization, "x-api-key": key, cookie } = request.headers;
    const credential = authorization ?? String(key ?? cookie);
    const known = judged.get(credential);
    if (known !== undefined) {
      allow(known, request, response);
      return;
    }
    void verify(request).then((head) => {
      if (head === undefined) return response.writeHead(401).end();
      judged.set(credential, head);
      return allow(head, request, response);
    });
  } else if (request.url === "/first") {
    void verify(request).then((head) => {
      if (head === undefined) response.writeHead(401).end();
      else allow(head, request, response);
    });
  } else {
    response.end();
  }
}).listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => process.stdout.write("ready\n"));
