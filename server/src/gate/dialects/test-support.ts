/** The dialects over decisions made by hand, without a socket. For tests only. */
import { createRenderPage } from "../../html/frame.ts";
import type { NodeRequest, NodeResponse } from "../../http/node-http.ts";
import { silentLog } from "../../lib/log.ts";
import type { RequestInfo } from "../../lib/request.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { Decide, GateDenied } from "../decisions/decision.ts";
import { frontdoorId } from "../test-support.ts";
import type { AnswerHead } from "./answer.ts";
import { type AskingOptions, createAsking } from "./answer-ask.ts";
import { listDialects } from "./assemble.ts";
import { createGateRoute } from "./route.ts";

/** A request as a proxy sends it, its headers a line each. */
export interface SentAsk {
  readonly method: string;
  readonly target: string;
  readonly lines: readonly string[];
}

/** What the proxy gets, and what was noted on the way. */
export interface ReceivedAnswer {
  readonly status: number;
  readonly head: Readonly<AnswerHead>;
  readonly body: string;
  readonly endsConnection: boolean;
  readonly outcome: RequestInfo["outcome"];
}

/** All dialects over one gate. */
export interface TestDialects {
  send(ask: SentAsk): Promise<ReceivedAnswer>;
  /** Asks that came as far as a decision. */
  readonly asks: GateAsk[];
  /** Denials that came before one. */
  readonly denied: GateDenied[];
}

/** @param change `vstp_good` is the frontdoor's token unless it says otherwise */
export function createTestDialects(decide: Decide, change: Partial<AskingOptions> = {}): TestDialects {
  const asks: GateAsk[] = [];
  const denied: GateDenied[] = [];
  const asking = createAsking({
    isProxyToken: (id, token) => id === frontdoorId && token === "vstp_good",
    decide: (ask) => {
      asks.push(ask);
      return decide(ask);
    },
    noteDenied: (_, denial) => void denied.push(denial),
    trustedProxies: [],
    tellsReasons: false,
    log: silentLog,
    ...change,
  });
  const route = createGateRoute(asking, listDialects(createRenderPage("Vestibule")), []);

  async function send({ method, target, lines }: SentAsk): Promise<ReceivedAnswer> {
    const answerer = route.find(target);
    if (answerer === undefined) throw new Error(`${target} is not the gate's`);
    const headers: Record<string, string> = {};
    for (let at = 0; at < lines.length; at += 2)
      headers[(lines[at] ?? "").toLowerCase()] ??= lines[at + 1] ?? "";
    const socket = { remoteAddress: "10.0.0.1" };
    const request = { method, url: target, rawHeaders: lines, headers, socket };
    const outcome: RequestInfo["outcome"] = {};
    const info = {
      requestId: "r1",
      clientAddress: "10.0.0.1",
      fromTrustedProxy: false,
      userAgent: "",
      outcome,
    };
    let received: ReceivedAnswer | undefined;
    const response = {
      shouldKeepAlive: true,
      destroyed: false,
      socket,
      writeHead(status: number, head: AnswerHead) {
        received = { status, head, body: "", endsConnection: !this.shouldKeepAlive, outcome };
      },
      end(body: string) {
        if (received !== undefined) received = { ...received, body };
      },
    };
    await answerer.answer(request as unknown as NodeRequest, response as unknown as NodeResponse, info);
    if (received === undefined) throw new Error("nothing was answered");
    return received;
  }

  return { send, asks, denied };
}

/** The value of a header of an answer, of several lines all. */
export function findInHead(head: Readonly<AnswerHead>, name: string): string | string[] | undefined {
  const at = head.findIndex((each, index) => index % 2 === 0 && String(each).toLowerCase() === name);
  return at < 0 ? undefined : head[at + 1];
}
