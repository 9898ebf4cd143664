/** How direct calls end: each once, whatever its handler does and whoever cuts it short. */
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { eventually } from "../../../../test/parts/eventually.ts";
import { registerService } from "../../assembly/services.ts";
import { DomainError } from "../../lib/errors.ts";
import type { EdgeOptions } from "../router.ts";
import { type RunningEdge, startEdge } from "../test-support.ts";

const edges: RunningEdge[] = [];
afterEach(async () => {
  for (const edge of edges.splice(0)) await edge.close();
});

type AuthToken = (request: { readonly clientSecret: string }) => object | Promise<object>;

async function startWith(authToken: AuthToken, overrides?: Partial<EdgeOptions>): Promise<RunningEdge> {
  const services = [registerService(AuthService, { authToken })];
  const edge = await startEdge({ directCalls: true, frontierMethods: [], services, ...overrides });
  edges.push(edge);
  return edge;
}

const path = "/vestibule.v1.AuthService/AuthToken";

async function callByConnect(edge: RunningEdge, type: string, body: string) {
  const answer = await fetch(edge.http1 + path, { method: "POST", headers: { "content-type": type }, body });
  return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() };
}

async function callByGrpc(edge: RunningEdge) {
  const session = connectHttp2(edge.http2);
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  let status: unknown;
  stream.on("trailers", (trailers) => (status = trailers["grpc-status"]));
  stream.end(Buffer.alloc(5));
  const [headers] = await once(stream, "response");
  const chunks: Buffer[] = await stream.toArray();
  session.close();
  return { status: status ?? headers["grpc-status"], body: Buffer.concat(chunks).toString("latin1") };
}

const deeds: Readonly<Record<string, () => object>> = {
  answers: () => ({ accessToken: "a" }),
  "answers nothing": () => undefined as unknown as object,
  "answers what its message has not": () => ({ expiresIn: "soon" }),
  refuses: () => {
    throw new DomainError("PRINCIPAL_DISABLED");
  },
  fails: () => {
    throw new TypeError("the password is hunter2");
  },
  "throws nothing": () => {
    throw undefined;
  },
};

describe("a handler that waits for nothing", () => {
  it.each(Object.entries(deeds))(
    "and %s is answered as one that waits, and told of once",
    async (_, deed) => {
      const callAll = async (edge: RunningEdge) => {
        const answers = [
          await callByConnect(edge, "application/json", "{}"),
          await callByConnect(edge, "application/proto", ""),
          await callByGrpc(edge),
        ];
        const lines = edge.lines.map(({ level, message, code, reason }) => ({
          level,
          message,
          code,
          reason,
        }));
        return { answers, lines };
      };
      const answered = await callAll(await startWith(deed));
      expect(answered).toEqual(await callAll(await startWith(async () => deed())));
      expect(answered.lines.filter(({ message }) => message === "request")).toHaveLength(3);
      expect(JSON.stringify(answered.answers)).not.toContain("hunter2");
    },
  );
});

/** Calls of one connection, sent in one piece; what comes back, by answers. */
async function pipeline(edge: RunningEdge, secrets: readonly string[], headers = "") {
  const socket = connect(Number(new URL(edge.http1).port), "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (readAnswers(Buffer.concat(chunks)).length === secrets.length) socket.end();
  });
  const calls = secrets.map((clientSecret) => {
    const body = JSON.stringify({ clientSecret });
    return `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
  });
  socket.write(calls.join(""));
  await once(socket, "close");
  return readAnswers(Buffer.concat(chunks));
}

function readAnswers(wire: Buffer) {
  const answers: { status: number; isGzip: boolean; body: Buffer }[] = [];
  for (let at = 0; at < wire.length; ) {
    const end = wire.indexOf("\r\n\r\n", at) + 4;
    if (end < 4) break;
    const head = wire.subarray(at, end).toString("latin1").toLowerCase();
    const length = Number(/\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1]);
    const body = wire.subarray(end, end + length);
    if (body.length < length) break;
    answers.push({
      status: Number(head.slice(9, 12)),
      isGzip: head.includes("content-encoding: gzip"),
      body,
    });
    at = end + length;
  }
  return answers;
}

describe("calls of one connection", () => {
  it("are answered each its own, in their order, whichever of them wait for something", async () => {
    const edge = await startWith(({ clientSecret }) => {
      const answer = { accessToken: clientSecret };
      return Number(clientSecret) % 3 === 0 ? wait(1, answer) : answer;
    });
    const secrets = Array.from({ length: 40 }, (_, each) => String(each));
    const answers = await pipeline(edge, secrets);
    expect(answers.map(({ body }) => JSON.parse(body.toString()))).toEqual(
      secrets.map((accessToken) => ({ accessToken })),
    );
  });

  it("are answered once when they are cut short while their answers are compressed", async () => {
    const shutdown = new AbortController();
    const secrets = Array.from({ length: 40 }, () => "x".repeat(1024));
    let begun = 0;
    const edge = await startWith(
      ({ clientSecret }) => {
        begun += 1;
        if (begun === secrets.length) {
          setTimeout(() => cutShortLater(shutdown));
          block(20);
        }
        return { accessToken: clientSecret };
      },
      { strictTransport: true, shutdownSignal: shutdown.signal },
    );
    const answers = await pipeline(edge, secrets, "Accept-Encoding: gzip\r\n");
    expect(answers).toHaveLength(secrets.length);
    for (const { status, isGzip, body } of answers) {
      const said = JSON.parse((isGzip ? gunzipSync(body) : body).toString());
      expect(isGzip).toBe(status === 200);
      expect(said).toMatchObject(status === 200 ? { accessToken: secrets[0] } : { code: "unavailable" });
    }
    await eventually(() => expect(edge.lines).toHaveLength(secrets.length));
    expect(edge.lines.map(({ code }) => code).sort()).toEqual(
      answers.map(({ status }) => (status === 200 ? "ok" : "unavailable")).sort(),
    );
    expect(edge.lines.filter(({ level }) => level === "error")).toEqual([]);
  });
});

function block(ms: number): void {
  for (const began = performance.now(); performance.now() - began < ms; );
}

/** Cuts all calls short in the turn in which it is heard that their answers are compressed, which takes two turns. */
function cutShortLater(shutdown: AbortController): void {
  block(20);
  setTimeout(() => {
    // Refusals wait for one another where they are made so soon as on a fast machine.
    const clock = vi.spyOn(performance, "now").mockReturnValue(performance.now());
    shutdown.abort();
    clock.mockRestore();
  });
  block(20);
}
