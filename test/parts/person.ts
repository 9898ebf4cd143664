/** Somebody at a browser, as far as cookies and mail go: signs in over the wire, without a real browser. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, postJson, type Sent, send } from "./http.ts";
import type { TestServer } from "./server.ts";

/** What a stream told, and its last word: an error, if it ended by one. */
interface StreamAnswer extends Answer {
  // biome-ignore lint/suspicious/noExplicitAny: JSON as answered
  readonly messages: any[];
  // biome-ignore lint/suspicious/noExplicitAny: JSON as answered
  readonly end: any;
}

/** A cookie jar and a page's origin. */
export class Person {
  readonly server: TestServer;
  /** Name → value, as the last `Set-Cookie` said. */
  readonly cookies = new Map<string, string>();

  constructor(server: TestServer) {
    this.server = server;
  }

  /** Headers of a call from a page of the server's own origin. */
  headers(extra: Record<string, string> = {}): Record<string, string> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const origin = extra.origin ?? `http://localhost:${this.server.port}`;
    return { ...(cookie !== "" && { cookie }), origin, ...extra };
  }

  /** Calls a method of AuthService. */
  async call(method: string, message: object = {}, headers: Record<string, string> = {}): Promise<Answer> {
    const path = `/vestibule.v1.AuthService/${method}`;
    return this.#keep(await postJson(this.server, path, message, this.headers(headers)));
  }

  /** Calls a method of AuthService that answers by a stream, by Connect's JSON; the messages, in their order. */
  async stream(method: string, headers: Record<string, string> = {}): Promise<StreamAnswer> {
    const path = `/vestibule.v1.AuthService/${method}`;
    const envelope = Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")]);
    const own = this.headers({ "content-type": "application/connect+json", ...headers });
    // By bytes: an envelope begins with its length.
    const answer = await fetch(`${this.server.url}${path}`, { method: "POST", headers: own, body: envelope });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const messages: object[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      messages.push(JSON.parse(bytes.toString("utf8", at + 5, end)));
      at = end;
    }
    const { status } = answer;
    const head = { status, headers: Object.fromEntries(answer.headers), text: "", json: undefined };
    return { ...head, messages: messages.slice(0, -1), end: messages.at(-1) };
  }

  /** Any request, with the cookies. */
  async send(path: string, sent: Sent = {}): Promise<Answer> {
    const headers = this.headers((sent.headers ?? {}) as Record<string, string>);
    return this.#keep(await send(`${this.server.url}${path}`, { ...sent, headers }));
  }

  /** Signs in by a mailed code. @throws Error when that fails */
  async signIn(email: string): Promise<void> {
    const before = listMails(this.server);
    const begun = await this.call("Authenticate", { strategyName: "mailotp", email });
    if (begun.status !== 200) throw new Error(begun.text);
    const code = findCode(await waitForMail(this.server, email, before, hasCode));
    const ended = await this.call("AuthCallback", {
      strategyName: "mailotp",
      state: begun.json.state,
      code,
    });
    if (ended.status !== 200) throw new Error(ended.text);
  }

  #keep(answer: Answer): Answer {
    for (const line of [answer.headers["set-cookie"] ?? []].flat()) {
      const [pair = ""] = line.split(";");
      const [name = "", value = ""] = pair.split("=");
      if (/max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }
}

function toOutbox(server: TestServer): string {
  return join(server.state.dataDir, "outbox");
}

/** Files of the outbox, oldest first. */
export function listMails(server: TestServer): string[] {
  const folder = toOutbox(server);
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith(".eml"))
        .toSorted()
    : [];
}

/** How many mails to an address there are. */
export function countMails(server: TestServer, email: string): number {
  const texts = listMails(server).map((name) => readFileSync(join(toOutbox(server), name), "utf8"));
  return texts.filter((text) => text.includes(`To: ${email}`)).length;
}

/**
 * The text of a mail to an address that is not among those known before.
 *
 * @param isWanted tells it from others that may come late, such as notices.
 * @throws Error when none comes
 */
export async function waitForMail(
  server: TestServer,
  email: string,
  before: readonly string[] = [],
  isWanted: (mail: string) => boolean = () => true,
): Promise<string> {
  for (let tries = 0; tries < 250; tries++) {
    for (const name of listMails(server).filter((each) => !before.includes(each))) {
      const text = readFileSync(join(toOutbox(server), name), "utf8");
      if (text.includes(`To: ${email}`) && text.includes("--") && isWanted(text)) return text;
    }
    await sleep(20);
  }
  throw new Error(`no mail to ${email}`);
}

const codeLine = /^([2-9B-DF-HJ-NP-TV-Z]{6})\s*$/m;

/** Whether a mail has a code. */
export function hasCode(mail: string): boolean {
  return codeLine.test(mail);
}

/** The code in a mail. @throws Error when there is none */
export function findCode(mail: string): string {
  const code = codeLine.exec(mail)?.[1];
  if (code === undefined) throw new Error(`no code in:\n${mail}`);
  return code;
}

/** The link in a mail, as path and query. @throws Error when there is none */
export function findLink(mail: string): URL {
  const whole = mail.replaceAll("=\n", "").replaceAll("=3D", "=");
  const link = /^(https?:\/\/\S+)\s*$/m.exec(whole)?.[1];
  if (link === undefined) throw new Error(`no link in:\n${mail}`);
  return new URL(link);
}
