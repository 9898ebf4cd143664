import type { SecureClientSessionOptions } from "node:http2";
import type { RequestOptions } from "node:https";
import type { Interceptor, Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { toBaseUrl } from "../../shared/src/base-url.ts";

/** What calls are written in. */
export type Protocol = "connect" | "grpc" | "grpc-web";

/** Where a server is and how to talk to it. */
export interface ConnectionOptions {
  /** Address of the server, with the path it is mounted at if there is one. */
  readonly baseUrl: string | URL;
  /** Default `connect`. */
  readonly protocol?: Protocol;
  /** Default `2`, in clear text too: the server speaks both on one port. gRPC needs `2`. */
  readonly httpVersion?: "2" | "1.1";
  /** TLS settings such as `ca`, for Node's `http2.connect` or `https.request`. */
  readonly nodeOptions?: SecureClientSessionOptions & Omit<RequestOptions, "signal">;
  /** Deadline of each call in milliseconds where a call sets none, streams included. Default: none. */
  readonly defaultTimeoutMs?: number;
}

/** One connection that transports with different interceptors share. */
export interface Connection {
  openTransport(interceptors: Interceptor[]): Transport;
  /** Ends open calls and the connection. */
  close(): void;
}

/** Silence after which an idle connection is checked before it is used again. */
const pingIntervalMs = 30_000;

/**
 * Prepares a connection; it is opened by the first call, and again when it was lost.
 *
 * @throws TypeError for an address that is none, and for gRPC over HTTP/1.1.
 */
export function createConnection(options: ConnectionOptions): Connection {
  const { protocol = "connect", httpVersion = "2", nodeOptions = {}, defaultTimeoutMs } = options;
  const baseUrl = toBaseUrl(options.baseUrl);
  if (protocol === "grpc" && httpVersion === "1.1") throw new TypeError("gRPC needs httpVersion 2");
  const sessionManager = new Http2SessionManager(baseUrl, { pingIntervalMs }, nodeOptions);
  const open = openers[protocol];
  return {
    openTransport: (interceptors) =>
      open({
        baseUrl,
        interceptors,
        ...(defaultTimeoutMs !== undefined && { defaultTimeoutMs }),
        ...(httpVersion === "2" ? { httpVersion, sessionManager } : { httpVersion, nodeOptions }),
      }),
    close: () => sessionManager.abort(),
  };
}

type TransportOptions = Parameters<typeof createConnectTransport>[0];

const openers: Record<Protocol, (options: TransportOptions) => Transport> = {
  connect: createConnectTransport,
  grpc: (options) => createGrpcTransport(options as Parameters<typeof createGrpcTransport>[0]),
  "grpc-web": createGrpcWebTransport,
};
