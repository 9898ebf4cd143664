/** Plain HTTP from outside, with every byte of the request in the test's hand. */
import { readFileSync } from "node:fs";
import { type OutgoingHttpHeaders, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { join } from "node:path";

const tlsFolder = join(import.meta.dirname, "../fixtures/tls");

/** The committed certificate for localhost, which is its own authority. */
export const tlsCertificate = readFileSync(join(tlsFolder, "localhost.crt"));

/** Its key. */
export const tlsKey = readFileSync(join(tlsFolder, "localhost.key"));

/** Settings that make a server speak TLS with it. */
export const tlsEnvironment = {
  VESTIBULE_TLS_CERT: join(tlsFolder, "localhost.crt"),
  VESTIBULE_TLS_KEY: join(tlsFolder, "localhost.key"),
};

/** An answer, whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly json: any;
}

/** What to send; the method is POST where there is a body. */
export interface Sent {
  readonly method?: string;
  /** As given, repeated headers as lists; only `host` and the framing are added. */
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array | undefined;
}

/** Sends one request over HTTP/1.1 on a connection of its own. */
export function send(url: string, { method, headers, body }: Sent = {}): Promise<Answer> {
  const { protocol, hostname, port, origin } = new URL(url);
  // As given: a URL would have its dot segments resolved.
  const path = url.slice(origin.length) || "/";
  const request = protocol === "https:" ? requestTls : requestPlain;
  return new Promise((resolve, reject) => {
    const options = {
      hostname,
      port,
      path,
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: headers ?? {},
      agent: false,
      ...(protocol === "https:" && { ca: tlsCertificate }),
    } as const;
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: toJson(text) });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `Authorization: Basic` of a credential (RFC 7617). */
export function basic({ clientId, clientSecret }: { clientId: string; clientSecret: string }): {
  authorization: string;
} {
  return { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}` };
}

/** Posts JSON, as curl would, to a method or another path of the server; texts and bytes as they are. */
export function postJson(
  server: { readonly url: string },
  path: string,
  message: unknown,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  const isReady = typeof message === "string" || message instanceof Uint8Array;
  const body = isReady ? message : JSON.stringify(message);
  return send(`${server.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
}
