/**
 * The server under Connect's conformance suite: our listener and our edge, with
 * the suite's reference service as one more service behind them. The suite starts
 * one for each kind of connection, says which on standard input, and reads on
 * standard output where it listens.
 *
 * Its one argument is the image of the suite's schemas, as `buf build` writes it.
 */
import { readFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { toConnectError } from "../../../server/src/edge/errors/errors.ts";
import { createEdge } from "../../../server/src/edge/router.ts";
import { createOptions, machine } from "../../../server/src/edge/test-support.ts";
import { DomainError } from "../../../server/src/lib/errors.ts";
import { listen } from "../../../server/src/listener/listener.ts";
import { createReferenceService } from "./reference-service.ts";

interface Asked extends Message {
  readonly useTls: boolean;
  readonly messageReceiveLimit: number;
  readonly serverCreds?: { readonly cert: Uint8Array; readonly key: Uint8Array };
}

const [imageFile = ""] = process.argv.slice(2);
const { registry, registration, isAsked } = createReferenceService(readFileSync(imageFile));
const find = (name: string) => {
  const type = registry.getMessage(`connectrpc.conformance.v1.${name}`);
  if (type === undefined) throw new Error(`the suite's schemas have no ${name}`);
  return type;
};

// Each message comes after its length, four bytes in network order.
const input = await buffer(process.stdin);
const asked = fromBinary(find("ServerCompatRequest"), input.subarray(4)) as Asked;

/**
 * The suite counts an error's details, and knows none of a server's own, which
 * the protocol allows (https://connectrpc.com/docs/protocol#error-end-stream).
 */
function withoutDetails(refusal: DomainError | ConnectError): ConnectError {
  const error = refusal instanceof DomainError ? toConnectError(refusal) : refusal;
  error.details.length = 0;
  return error;
}

const options = createOptions();
const edge = createEdge({
  ...options,
  services: [registration],
  frontierMethods: [],
  guests: { registry, answer: (error, ours) => (isAsked(error) ? error : withoutDetails(ours())) },
  // All methods of no policy need a principal.
  principals: { authenticate: async () => machine },
  limits: { bodyBytes: asked.messageReceiveLimit || 4 * 1024 * 1024, requestSeconds: 30 },
});
const tls = asked.useTls ? asked.serverCreds : undefined;
const listener = await listen({
  host: "127.0.0.1",
  port: 0,
  handler: edge.handle,
  log: options.log,
  ...(tls && { tls: { cert: Buffer.from(tls.cert), key: Buffer.from(tls.key) } }),
});
await edge.warmUp();

const { port } = listener;
const answer = toBinary(
  find("ServerCompatResponse"),
  create(find("ServerCompatResponse"), { host: "127.0.0.1", port, pemCert: tls?.cert }),
);
const prefix = Buffer.alloc(4);
prefix.writeUInt32BE(answer.length);
process.stdout.write(Buffer.concat([prefix, answer]));
process.once("SIGTERM", () => void listener.close(0).then(() => process.exit()));
