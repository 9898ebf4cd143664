import { createServer, type RequestListener, type Server } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { parseCidr } from "../http/cidr.ts";
import { silentLog } from "../lib/log.ts";
import { createEgress, type Egress, type EgressOptions } from "./egress.ts";

/** A real server on 127.0.0.1, told what to answer. */
export interface LocalServer {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  /** Method and path of each request, in order. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** Starts a server for one test. */
export async function startLocalServer(
  answer: RequestListener,
  server?: Server | TlsServer,
): Promise<LocalServer> {
  const seen: string[] = [];
  const running: Server | TlsServer = server ?? createServer();
  running.on("request", (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => running.listen(0, "127.0.0.1", resolve));
  const { port } = running.address() as AddressInfo;
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    seen,
    close: () => {
      running.closeAllConnections();
      return new Promise((resolve) => running.close(() => resolve()));
    },
  };
}

/** A guard that allows 127.0.0.1 and resolves the names given; every other name is unknown. */
export function createTestEgress(
  names: Readonly<Record<string, readonly string[]>> = {},
  options: Partial<EgressOptions> = {},
): Egress {
  return createEgress({
    allowCidrs: [parseCidr("127.0.0.1/32")],
    allowedOrigins: [],
    lookup: async (host) => names[host] ?? Promise.reject(new Error("ENOTFOUND")),
    log: silentLog,
    ...options,
  });
}
