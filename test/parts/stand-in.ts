/** A server that answers as its test says, in the place of somebody else's. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A request that has come whole. */
export interface StandInRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly form: URLSearchParams;
}

/** A JSON answer, or a text as it is. */
export interface StandInAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export interface StandIn {
  readonly origin: string;
  /** Requests so far. */
  readonly requests: StandInRequest[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts one on a free port of this machine. What its test has no answer for is not found. */
export async function startStandIn(
  answer: (request: StandInRequest, origin: string) => StandInAnswer | undefined | Promise<StandInAnswer>,
): Promise<StandIn> {
  const requests: StandInRequest[] = [];
  let origin = "";
  const server = createServer(async (incoming, response) => {
    let text = "";
    for await (const chunk of incoming) text += chunk;
    const { pathname: path, searchParams: query } = new URL(incoming.url ?? "/", origin);
    const { method = "", headers } = incoming;
    const request = { method, path, query, headers, form: new URLSearchParams(text) };
    requests.push(request);
    const { status = 200, headers: own = {}, body } = (await answer(request, origin)) ?? notFound;
    response.writeHead(status, { "content-type": "application/json", ...own });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const notFound: StandInAnswer = { status: 404, body: { message: "Not Found" } };
