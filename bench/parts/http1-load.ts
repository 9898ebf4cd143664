/**
 * A load generator for HTTP/1.1 that costs less than any server it drives: one
 * request's bytes are made once, answers are only counted to their end.
 */
import { createPrivateKey, type JsonWebKey, sign } from "node:crypto";
import { connect, type Socket } from "node:net";

/** One request, the same every time but for its body. */
export interface PlainLoad {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** `{number}` in a value is another number each time, `{token}` another token. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of several, each has its turn. */
  readonly body: string | readonly string[];
  readonly connections: number;
  /** What `{token}` stands for. */
  readonly tokens?: TokenLoad;
  /** Every answer is to be a refusal: 4xx. */
  readonly isRefused?: boolean;
}

/** JWTs (ES256) that differ in their `jti`. */
export interface TokenLoad {
  /** Private; with its `kid`. */
  readonly jwk: JsonWebKey;
  readonly claims: object;
}

/** What a window saw. */
export interface Window {
  readonly requests: number;
  readonly seconds: number;
  /** Answers with a status other than 2xx, or 4xx where that is wanted, and connections that the server has ended. */
  readonly failures: number;
}

/** Drives a server until told to stop. */
export class PlainLoader {
  readonly #requests: readonly MakeRequest[];
  readonly #load: PlainLoad;
  #next = 0;
  #sockets: Socket[] = [];
  #answers = 0;
  #failures = 0;
  #isRunning = false;

  constructor(load: PlainLoad) {
    this.#load = load;
    this.#requests = [load.body].flat().map((body) => createRequests(load, Buffer.from(body)));
  }

  /** Runs for a while over connections that stay open between windows. */
  async run(seconds: number): Promise<Window> {
    // Servers end what has been idle for long.
    if (this.#sockets.length === 0 || this.#countEnded() > 0) await this.#connect();
    this.#answers = 0;
    this.#failures = 0;
    this.#isRunning = true;
    const startedAt = performance.now();
    for (const socket of this.#sockets) this.#ask(socket);
    this.#stayAwake();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.#isRunning = false;
    const elapsed = (performance.now() - startedAt) / 1000;
    const failures = this.#failures + this.#countEnded();
    const window = { requests: this.#answers, seconds: elapsed, failures };
    // Let the answers on their way come in before anyone else is measured.
    await new Promise((resolve) => setTimeout(resolve, 50));
    return window;
  }

  /**
   * Never waits for an answer asleep: to wake another core is work for whoever sends the answer, here the
   * server, and only for one that is slower than this.
   */
  #stayAwake(): void {
    if (this.#isRunning) setImmediate(() => this.#stayAwake());
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #ask(socket: Socket): void {
    socket.write(this.#requests[this.#next++ % this.#requests.length]?.() ?? "");
  }

  #countEnded(): number {
    return this.#sockets.filter(({ destroyed }) => destroyed).length;
  }

  async #connect(): Promise<void> {
    this.close();
    this.#sockets = await openConnections(this.#load, (socket, isGood) => {
      if (!isGood) this.#failures++;
      this.#answers++;
      if (this.#isRunning) this.#ask(socket);
    });
  }
}

/** Connections that say when an answer on them is over, and whether it was what is wanted. */
export function openConnections(
  { port, connections, isRefused = false }: Pick<PlainLoad, "port" | "connections" | "isRefused">,
  onAnswer: (socket: Socket, isGood: boolean) => void,
): Promise<Socket[]> {
  const wanted = (isRefused ? "4" : "2").charCodeAt(0);
  return Promise.all(Array.from({ length: connections }, () => open(port, wanted, onAnswer)));
}

/** @param wanted first digit of the status of a good answer */
function open(
  port: number,
  wanted: number,
  onAnswer: (socket: Socket, isGood: boolean) => void,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.setNoDelay(true);
    socket.on("error", reject);
    let pending: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const end = findEnd(pending);
      if (end < 0) return;
      const isGood = pending[9] === wanted;
      pending = pending.subarray(end);
      onAnswer(socket, isGood);
    });
  });
}

/** The next request's bytes. */
export type MakeRequest = () => Buffer | string;

/** Makes the requests of a load with one body. */
export function createRequests(load: PlainLoad, body: Buffer): MakeRequest {
  const whole = toRequest(load, body);
  const parts = whole.toString("latin1").split(/(\{number\}|\{token\})/);
  if (parts.length === 1) return () => whole;
  const nextToken = createTokens(load.tokens);
  let count = 0;
  return () => {
    count++;
    let text = "";
    for (const part of parts) text += part === "{number}" ? count : part === "{token}" ? nextToken() : part;
    return text;
  };
}

function createTokens(tokens: TokenLoad | undefined): () => string {
  if (tokens === undefined) return () => "";
  const key = {
    key: createPrivateKey({ key: tokens.jwk, format: "jwk" }),
    dsaEncoding: "ieee-p1363",
  } as const;
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const header = encode({ alg: "ES256", typ: "JWT", kid: tokens.jwk.kid });
  const run = Date.now().toString(36);
  let count = 0;
  return () => {
    const signed = `${header}.${encode({ ...tokens.claims, jti: `${run}-${count++}` })}`;
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  };
}

function toRequest(load: PlainLoad, body: Buffer): Buffer {
  const headers = {
    host: `127.0.0.1:${load.port}`,
    ...load.headers,
    ...(load.method !== "GET" && { "content-length": String(body.length) }),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${load.method} ${load.path} HTTP/1.1\r\n${head.join("")}\r\n`), body]);
}

/** Where the first answer in the bytes ends; -1 while it is not whole. */
function findEnd(bytes: Buffer): number {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return -1;
  const head = bytes.toString("latin1", 0, headEnd).toLowerCase();
  const length = /content-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    const end = headEnd + 4 + Number(length);
    return bytes.length >= end ? end : -1;
  }
  if (!head.includes("transfer-encoding: chunked")) return headEnd + 4;
  const last = bytes.indexOf("0\r\n\r\n", headEnd + 2);
  return last < 0 ? -1 : last + 5;
}
