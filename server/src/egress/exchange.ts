/** One request to addresses that were vetted, and its bounded answer. */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIPv6, type LookupFunction } from "node:net";
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { EgressError } from "./egress-error.ts";
import type { VettedUrl } from "./vet.ts";

/** A request to be sent to vetted addresses. */
export interface Exchange {
  readonly target: VettedUrl;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Largest body taken, in bytes, before and after decompression. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Certificate authorities as PEM to trust instead of the system's. */
  readonly trustedCa: string | undefined;
}

/** The bounded response to an outgoing request, whatever its status. */
export interface EgressResponse {
  /** The URL that answered, after redirects. */
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  /** Decompressed. */
  readonly body: Buffer;
}

const maxHeaderBytes = 16 * 1024;

/**
 * Sends the request on a connection of its own and reads the whole answer.
 *
 * The connection's look-up answers the vetted addresses and nothing else, so a
 * name that resolves differently by now changes nothing.
 *
 * @throws EgressError connection, tls, too_large, content; whatever aborted `signal` is the caller's to name.
 */
export async function exchangeWith(exchange: Exchange): Promise<EgressResponse> {
  const { target, maxBytes } = exchange;
  try {
    const response = await send(exchange);
    const body = await readBounded(response, maxBytes, target.url.host);
    return {
      url: target.url.href,
      status: response.statusCode ?? 0,
      headers: toHeaders(response),
      body,
    };
  } catch (error) {
    throw error instanceof EgressError ? error : toEgressError(error, target.url.host);
  }
}

function send(exchange: Exchange): Promise<IncomingMessage> {
  const { target, method, headers, body, signal, trustedCa } = exchange;
  const isTls = target.url.protocol === "https:";
  return new Promise((resolve, reject) => {
    const request = (isTls ? requestHttps : requestHttp)(target.url, {
      method,
      headers,
      // A connection for this request alone: none that was made for other addresses is used again.
      agent: false,
      lookup: toLookup(target.addresses),
      maxHeaderSize: maxHeaderBytes,
      signal,
      ...(trustedCa !== undefined && { ca: trustedCa }),
    });
    request.on("response", resolve);
    request.on("error", reject);
    request.end(body);
  });
}

function toLookup(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
  return (_host, options, callback) => {
    const [first = { address: "", family: 4 }] = found;
    if (options.all) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

function toHeaders(response: IncomingMessage): Headers {
  const headers = new Headers();
  const raw = response.rawHeaders;
  for (let index = 0; index + 1 < raw.length; index += 2)
    headers.append(raw[index] ?? "", raw[index + 1] ?? "");
  return headers;
}

/** Asked for plain, a server may compress all the same; then no more is inflated than may be kept. */
function toPlain(response: IncomingMessage, host: string): Readable {
  const encoding = (response.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  const ignore = () => {};
  switch (encoding) {
    case "":
    case "identity":
      return response;
    case "gzip":
    case "x-gzip":
      return pipeline(response, createGunzip(), ignore);
    case "deflate":
      return pipeline(response, createInflate(), ignore);
    case "br":
      return pipeline(response, createBrotliDecompress(), ignore);
    default:
      response.destroy();
      throw new EgressError("content", host, "the answer is compressed in a way that was not asked for");
  }
}

async function readBounded(response: IncomingMessage, maxBytes: number, host: string): Promise<Buffer> {
  const tooLarge = new EgressError("too_large", host, `the answer is larger than ${maxBytes} bytes`);
  if (Number(response.headers["content-length"] ?? 0) > maxBytes) {
    response.destroy();
    throw tooLarge;
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of toPlain(response, host) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

const tlsCodes =
  /^(ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO|HOSTNAME_MISMATCH|INVALID_CA)/;

function toEgressError(error: unknown, host: string): EgressError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (tlsCodes.test(code)) {
    return new EgressError(
      "tls",
      host,
      `no trusted TLS connection (${code}): check the certificate and its name`,
      error,
    );
  }
  if (code.startsWith("Z_") || code.startsWith("ERR__ERROR_FORMAT") || code.startsWith("ERR_BROTLI")) {
    return new EgressError("content", host, "the answer cannot be decompressed", error);
  }
  return new EgressError(
    "connection",
    host,
    `no answer (${code === "" ? "connection failed" : code}): check that the server runs and can be reached from here`,
    error,
  );
}
