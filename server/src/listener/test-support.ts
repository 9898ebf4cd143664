import { readFileSync } from "node:fs";
import { ServerResponse } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterEach } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import type { ListenerResponse } from "./handler.ts";
import { type Listener, type ListenOptions, listen } from "./listener.ts";

const fixture = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url));

/** The committed key pair for localhost. */
export const tls = { cert: fixture("localhost.crt"), key: fixture("localhost.key") };

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  while (cleanups.length > 0) await cleanups.pop()?.();
});

/** A listener on a free port of 127.0.0.1, closed after the test. It answers "hello" unless told otherwise. */
export async function startListener(options: Partial<ListenOptions> = {}): Promise<Listener> {
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    handler: (_request, response) => void response.end("hello"),
    log: silentLog,
    ...options,
  });
  cleanups.push(() => listener.close(0));
  return listener;
}

/** A log that keeps what is said at a level. */
export function recordLog(level: "debug" | "error"): {
  log: Log;
  lines: { fields: object; message: string }[];
} {
  const lines: { fields: object; message: string }[] = [];
  return {
    log: { ...silentLog, [level]: (fields: object, message: string) => lines.push({ fields, message }) },
    lines,
  };
}

/** A TCP connection that gathers what it receives. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that has come so far. */
  received(): string;
  /** Resolves once the text has come; rejects if the connection closes without it. */
  until(text: string): Promise<void>;
  /** Resolves with all that came, when the server has ended or cut the connection. */
  readonly closed: Promise<string>;
}

/** Opens a TCP connection; `allowHalfOpen` keeps our side open after the server's FIN. */
export async function openRaw(port: number, { allowHalfOpen = false } = {}): Promise<RawConnection> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen });
  cleanups.push(() => socket.destroy());
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(received)));
  await new Promise((resolve) => socket.once("connect", resolve));
  const until = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!received.includes(text)) return;
        socket.off("data", check);
        resolve();
      };
      socket.on("data", check);
      socket.once("close", () => reject(new Error(`closed after: ${received}`)));
      check();
    });
  return { socket, received: () => received, until, closed };
}

/** An HTTP/2 client session, closed after the test. */
export function openHttp2(port: number, options: object = {}, scheme = "http"): ClientHttp2Session {
  const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, options);
  session.on("error", () => {});
  cleanups.push(() => session.destroy());
  return session;
}

/** One HTTP/2 request, answered. Rejects with the stream's error. */
export function exchange(
  session: ClientHttp2Session,
  headers: Record<string, string> = {},
  body?: string,
): Promise<{ status: number; headers: IncomingHttpHeaders; text: string }> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ":path": "/", ":method": body === undefined ? "GET" : "POST", ...headers },
      { endStream: body === undefined },
    );
    let text = "";
    let answer: IncomingHttpHeaders | undefined;
    stream.setEncoding("utf8");
    stream.on("response", (received) => {
      answer = received;
    });
    stream.on("data", (chunk) => {
      text += chunk;
    });
    stream.on("error", reject);
    stream.on("close", () =>
      answer
        ? resolve({ status: Number(answer[":status"]), headers: answer, text })
        : reject(new Error(`closed without an answer, code ${stream.rstCode}`)),
    );
    if (body !== undefined) stream.end(body);
  });
}

/** A promise with its resolver, to hold a handler until the test says so. */
export function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Sends the first part of an answer, so that its headers are out. */
export function begin(response: ListenerResponse, text: string): void {
  if (response instanceof ServerResponse) response.write(text);
  else response.write(text);
}
