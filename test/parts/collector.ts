/** A collector of traces: takes OTLP over HTTP as protobuf, and keeps what it was sent. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A span as it was sent. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "other";
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Trace ids of its links. */
  readonly links: readonly string[];
  readonly isError: boolean;
  readonly resource: Readonly<Record<string, string | number | boolean>>;
}

/** A running collector. */
export interface Collector extends AsyncDisposable {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  readonly port: number;
  readonly spans: readonly CollectedSpan[];
  /** Every body as it came, for searching. */
  readonly bodies: readonly Buffer[];
  /** Of each export. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** Resolves with the first span that fits, once it is there; waits for it. */
  find(fits: (span: CollectedSpan) => boolean): Promise<CollectedSpan>;
}

/** Starts one; `answer` says with which status it takes what it is sent. */
export async function startCollector(
  options: { readonly port?: number; readonly status?: () => number } = {},
): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const bodies: Buffer[] = [];
  const requests: { path: string; headers: IncomingHttpHeaders }[] = [];
  const waiting = new Set<() => void>();
  const server = createServer(async (request, response) => {
    const sent = await buffer(request).catch(() => undefined);
    // Its sender was ended in the middle.
    if (sent === undefined) return;
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
    const status = options.status?.() ?? 200;
    if (status === 200) {
      requests.push({ path: request.url ?? "", headers: request.headers });
      bodies.push(body);
      spans.push(...readRequest(body));
      for (const look of [...waiting]) look();
    }
    response.writeHead(status, { "content-type": "application/x-protobuf" }).end();
  }).listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    spans,
    bodies,
    requests,
    find: (fits) =>
      new Promise((resolve) => {
        const look = () => {
          const found = spans.find(fits);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

type Value = bigint | Uint8Array;

/** A message's fields by number, undecoded. */
function readFields(bytes: Uint8Array): Map<number, Value[]> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Value[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const known = fields.get(number);
    const value = readValue(reader, type);
    if (known === undefined) fields.set(number, [value]);
    else known.push(value);
  }
  return fields;
}

function readValue(reader: BinaryReader, type: WireType): Value {
  switch (type) {
    case WireType.Varint:
      return BigInt(reader.int64());
    case WireType.Bit64:
      return BigInt(reader.fixed64());
    case WireType.Bit32:
      return BigInt(reader.fixed32());
    case WireType.LengthDelimited:
      return reader.bytes();
    default:
      throw new Error(`wire type ${type} in an export`);
  }
}

type Fields = Map<number, Value[]>;

const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((value) => readFields(value as Uint8Array));
const bytesOf = (fields: Fields, number: number) =>
  Buffer.from((fields.get(number)?.[0] as Uint8Array | undefined) ?? []);
const textOf = (fields: Fields, number: number) => bytesOf(fields, number).toString("utf8");
const numberOf = (fields: Fields, number: number) => (fields.get(number)?.[0] as bigint | undefined) ?? 0n;

/** `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`. */
function readRequest(body: Uint8Array): CollectedSpan[] {
  return messages(readFields(body), 1).flatMap((resourceSpans) => {
    const resource = readAttributes(messages(resourceSpans, 1)[0] ?? new Map(), 1);
    return messages(resourceSpans, 2).flatMap((scope) =>
      messages(scope, 2).map((span) => readSpan(span, resource)),
    );
  });
}

const kinds = ["other", "internal", "server", "client"] as const;

function readSpan(span: Fields, resource: CollectedSpan["resource"]): CollectedSpan {
  return {
    traceId: bytesOf(span, 1).toString("hex"),
    spanId: bytesOf(span, 2).toString("hex"),
    parentSpanId: bytesOf(span, 4).toString("hex"),
    name: textOf(span, 5),
    kind: kinds[Number(numberOf(span, 6))] ?? "other",
    durationMs: Number(numberOf(span, 8) - numberOf(span, 7)) / 1e6,
    attributes: readAttributes(span, 9),
    links: messages(span, 13).map((link) => bytesOf(link, 1).toString("hex")),
    isError: messages(span, 15).some((status) => numberOf(status, 3) === 2n),
    resource,
  };
}

function readAttributes(fields: Fields, number: number): CollectedSpan["attributes"] {
  const pairs = messages(fields, number).map((pair) => {
    const value = messages(pair, 2)[0] ?? new Map();
    return [textOf(pair, 1), readAny(value)] as const;
  });
  return Object.fromEntries(pairs);
}

function readAny(value: Fields): string | number | boolean {
  if (value.has(2)) return numberOf(value, 2) === 1n;
  if (value.has(3)) return Number(numberOf(value, 3));
  if (value.has(4)) {
    const bits = Buffer.alloc(8);
    bits.writeBigInt64LE(numberOf(value, 4));
    return bits.readDoubleLE();
  }
  return textOf(value, 1);
}
