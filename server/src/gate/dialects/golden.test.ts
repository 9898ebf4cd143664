/**
 * Every dialect by example: `golden/<dialect>.txt` has a proxy's request, what
 * the gate decides about it, and the answer. `npm test -- -u` writes the answers
 * anew.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { GateDecision, HeaderLine } from "../decisions/decision.ts";
import { frontdoorId } from "../test-support.ts";
import { createTestDialects, findInHead, type ReceivedAnswer, type SentAsk } from "./test-support.ts";

const names = ["Subject", "Email", "Name", "Provider", "Organizations", "Groups", "Assertion"];
const toIdentity = (...values: string[]): HeaderLine[] =>
  names.map((name, index) => [`X-Vestibule-${name}`, values[index] ?? ""]);
const ann = toIdentity("p1:ann", "ann@example.com", "Ann Sm%C3%ADth", "p1", "o1,o2", "staff", "eyJ.ann.sig");
const robot = toIdentity("p2:key-1", "", "", "p2", "", "", "eyJ.robot.sig");
const nobody = toIdentity("", "", "", "", "", "", "eyJ.nobody.sig");
const giant = toIdentity("p1:ann", "", "", "p1", "", "g,".repeat(8_000), "eyJ.giant.sig");
const identified = { isAllowed: true, reason: "IDENTIFIED", keyHeaders: ["x-api-key"] } as const;

const decisions: Record<string, GateDecision> = {
  "lets Ann in, by Authorization": { ...identified, identity: ann, consumed: "authorization" },
  "lets Ann in, by Authorization, with the assertion under a second name": {
    ...identified,
    identity: [...ann, ["X-JWT-Assertion", "eyJ.ann.sig"]],
    consumed: "authorization",
  },
  "lets Ann in, by Authorization, and takes a cookie of ours out": {
    ...identified,
    identity: ann,
    consumed: "authorization",
    cookie: "theme=dark",
  },
  "lets Ann in, by the only cookie": { ...identified, identity: ann, consumed: "cookie", cookie: "" },
  "lets a robot in, by X-API-Key": { ...identified, identity: robot, consumed: "x-api-key" },
  "lets a robot in, by X-Robot-Key": {
    ...identified,
    identity: robot,
    consumed: "x-robot-key",
    keyHeaders: ["x-robot-key"],
  },
  "lets anybody in, where keys come in by the assertion's second header": {
    isAllowed: true,
    reason: "PUBLIC_PATH",
    identity: [...nobody, ["X-JWT-Assertion", "eyJ.nobody.sig"]],
    keyHeaders: ["x-jwt-assertion"],
  },
  "lets anybody in": { isAllowed: true, reason: "PUBLIC_PATH", identity: nobody, keyHeaders: [] },
  "lets anybody in, where keys have a header of their own": {
    isAllowed: true,
    reason: "PUBLIC_PATH",
    identity: nobody,
    keyHeaders: ["x-robot-key"],
  },
  "lets in who is in too many groups": { ...identified, identity: giant, consumed: "authorization" },
  "asks who it is": {
    isAllowed: false,
    reason: "NO_CREDENTIAL",
    challenges: ['Bearer realm="app.example.com"', 'Basic realm="app.example.com"'],
  },
  "asks who it is, and people can sign in": {
    isAllowed: false,
    reason: "NO_CREDENTIAL",
    challenges: ["Bearer"],
    login: "https://app.example.com/.vestibule/start?rt=%2Fa",
  },
  "does not believe it": {
    isAllowed: false,
    reason: "BAD_CREDENTIAL",
    detail: "for operators",
    challenges: ['Bearer error="invalid_token"'],
  },
  "knows who it is, and does not let them in": { isAllowed: false, reason: "EMAIL_NOT_ALLOWED" },
  "knows no such host": { isAllowed: false, reason: "UNKNOWN_HOST" },
  "has had enough": { isAllowed: false, reason: "KEY_RATE", retryAfterSeconds: 29.5 },
  "cannot tell": { isAllowed: false, reason: "UNAVAILABLE", retryAfterSeconds: 5 },
  "is not asked": { isAllowed: false, reason: "UNAVAILABLE", detail: "it was asked" },
};

/** One example. */
interface Case {
  readonly title: string;
  readonly sent: readonly string[];
  readonly decision: string;
}

function readCases(text: string): Case[] {
  return text
    .split(/^# /m)
    .slice(1)
    .map((block) => {
      const [title = "", ...lines] = block.split("\n");
      const sent = lines.filter((line) => line.startsWith("> ")).map((line) => line.slice(2));
      const decision = lines.find((line) => line.startsWith("= "))?.slice(2) ?? "";
      return { title, sent, decision };
    });
}

function toAsk([first = "", ...headers]: readonly string[]): SentAsk {
  const [method = "", target = ""] = first.replaceAll("{id}", frontdoorId).split(" ");
  return {
    method,
    target,
    lines: headers.flatMap((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    }),
  };
}

function showAnswer({ status, head, body, endsConnection }: ReceivedAnswer): string[] {
  const isPage = /html/.test(String(findInHead(head, "content-type")));
  const lines = head.flatMap((name, at) =>
    at % 2 > 0 ? [] : [head[at + 1] ?? ""].flat().map((value) => `${name}: ${value}`),
  );
  return [
    String(status),
    ...(endsConnection ? ["Connection: close"] : []),
    // What changes with every page, or with its style sheet.
    ...lines.map((line) =>
      line.replace(/nonce-[\w-]+/g, "nonce-…").replace(/^(Content-Length): .*/, isPage ? "$1: …" : "$&"),
    ),
    ...(body === "" ? [] : ["", ...(isPage ? showPage(body) : [body])]),
  ];
}

/** What is written on a page. */
function showPage(body: string): string[] {
  const main = /<main>([\s\S]*)<\/main>/.exec(body)?.[1] ?? "";
  return main
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const folder = join(import.meta.dirname, "golden");

test.each(readdirSync(folder))("%s", async (file) => {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  let rendered = text.split(/^# /m)[0] ?? "";
  for (const { title, sent, decision } of readCases(text)) {
    const decided = decisions[decision];
    if (decided === undefined) throw new Error(`${title}: nobody decides "${decision}"`);
    const dialects = createTestDialects(() => decided);
    const answer = await dialects.send(toAsk(sent));
    expect(dialects.asks.length, title).toBe(decision === "is not asked" ? 0 : 1);
    const answered = showAnswer(answer).map((line) => `< ${line}`.trimEnd());
    rendered += [`# ${title}`, ...sent.map((line) => `> ${line}`), `= ${decision}`, ...answered, "", ""].join(
      "\n",
    );
  }
  await expect(`${rendered.trimEnd()}\n`).toMatchFileSnapshot(path);
});
