/**
 * Access tokens of ours before a verifier that somebody else wrote, which knows
 * no more of us than the issuer, the audience and the address of the JWKS.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { basic, send } from "./http.ts";
import type { PartContext } from "./part.ts";
import { createState, runVestibule, startServer, type TestServer } from "./server.ts";

/**
 * A program that verifies: its arguments are JWKS address, issuer, audience and
 * algorithm; for each line, a token, it prints a line: the subject, or
 * `refused: ` and why.
 */
export type Verifier = readonly [program: string, ...args: string[]];

/** Runs every case for each algorithm, the first being that of the default settings; `--quick` leaves it at that one. */
export async function judgeVerifier(
  context: PartContext,
  verifier: Verifier,
  algorithms: readonly string[],
): Promise<void> {
  for (const algorithm of context.quick ? algorithms.slice(0, 1) : algorithms)
    await judgeAlgorithm(context, verifier, algorithm);
}

async function judgeAlgorithm(context: PartContext, verifier: Verifier, algorithm: string): Promise<void> {
  const state = await createState("sqlite");
  const ours = { algorithm, issuer: "https://id.example", audience: "https://api.example" };
  // The same keys under other settings, one server after another.
  const ofSettings = async (settings: TokenSettings): Promise<string> => {
    const server = await startServer({ state, config: toConfig(settings) });
    try {
      return await issue(server);
    } finally {
      await server.stop();
    }
  };
  const misdirected = await ofSettings({ ...ours, audience: "https://other.example" });
  const ofOthers = await ofSettings({ ...ours, issuer: "https://other.example" });
  const expired = await ofSettings({ ...ours, validity: "1s" });
  const expiresAt = Number(decode(expired.split(".")[1]).exp) * 1000;
  await using impostor = await startServer({ config: toConfig(ours) });
  await using server = await startServer({ state, config: toConfig(ours) });
  using running = openVerifier(verifier, [
    `${server.url}/.well-known/jwks.json`,
    ours.issuer,
    ours.audience,
    algorithm,
  ]);

  const token = await issue(server);
  const [header = "", payload = "", signature = ""] = token.split(".");
  const withHeader = (change: object) => encode({ ...decode(header), ...change });
  await sleep(Math.max(0, expiresAt - Date.now()));
  const sub = decode(payload).sub;
  await context.check(`${algorithm}: accepts a token`, async () => {
    assert.equal(await running.verify(token), sub);
  });
  // Before any token of an unknown key: who has just read the JWKS in vain does not do so again at once.
  await context.check(`${algorithm}: accepts a token of a key that came later`, async () => {
    assert.equal(await running.verify(await issueByNewKey(server, toConfig(ours))), sub);
  });
  const refused: readonly Case[] = [
    ["another signature", `${header}.${payload}.${changeByte(signature)}`, /^refused: .*signature/i],
    [
      "other claims",
      `${header}.${encode({ ...decode(payload), sub: "somebody" })}.${signature}`,
      /^refused: .*signature/i,
    ],
    ["no signature", `${withHeader({ alg: "none" })}.${payload}.`],
    ["no algorithm", `${withHeader({ alg: "none" })}.${payload}.${signature}`],
    ["an unknown key", `${withHeader({ kid: "unknown" })}.${payload}.${signature}`],
    ["the key of an impostor", await issue(impostor)],
    ["another audience", misdirected, /^refused: .*aud/i],
    ["another issuer", ofOthers, /^refused: .*(issuer|issued| iss )/i],
    ["an expired token", expired, /^refused: .*expired/i],
  ];
  for (const [name, given, why = /^refused: ./] of refused) {
    await context.check(`${algorithm}: refuses ${name}`, async () => {
      assert.match(await running.verify(given), why);
    });
  }
}

type Case = readonly [name: string, token: string, why?: RegExp];

interface TokenSettings {
  readonly algorithm: string;
  readonly issuer: string;
  readonly audience: string;
  readonly validity?: string;
}

const toConfig = (token: TokenSettings) => ({ authentication: { token } });

/** A token for the bootstrap credential. */
async function issue(server: TestServer): Promise<string> {
  const answer = await send(`${server.url}/oauth2/token`, {
    headers: { ...basic(server), "Content-Type": "application/x-www-form-urlencoded" },
    body: "grant_type=client_credentials",
  });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.access_token;
}

/** A token of a key that nobody has seen yet: neither the one that signs now nor the next, which is published ahead. */
async function issueByNewKey(server: TestServer, config: ReturnType<typeof toConfig>): Promise<string> {
  const { json } = await send(`${server.url}/.well-known/jwks.json`);
  const seen = json.keys.map((key: { kid: string }) => key.kid);
  const kidOf = (token: string) => decode(token.split(".")[0]).kid;
  for (let token = await issue(server); ; token = await issue(server)) {
    if (!seen.includes(kidOf(token))) return token;
    const { code, stderr } = await runVestibule(["keys", "rotate", "--now"], server.state, { config });
    assert.equal(code, 0, stderr);
    // The server that runs learns of it within a second.
    const before = kidOf(token);
    for (let tries = 0; tries < 200 && kidOf(await issue(server)) === before; tries += 1) await sleep(20);
  }
}

function decode(part = ""): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** Another signature of the same length. */
export function changeByte(signature: string): string {
  const bytes = Buffer.from(signature, "base64url");
  bytes[10] = (bytes[10] ?? 0) ^ 1;
  return bytes.toString("base64url");
}

/** A verifier that waits for tokens. */
export interface RunningVerifier extends Disposable {
  /** The subject, or `refused: ` and why. @throws Error when the program has ended */
  verify(token: string): Promise<string>;
}

/** Starts a verifier. @param settings further arguments */
export function openVerifier(
  [program, ...args]: Verifier,
  settings: readonly string[] = [],
): RunningVerifier {
  const child = spawn(program, [...args, ...settings], { stdio: ["pipe", "pipe", "inherit"] });
  child.on("error", () => {});
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async verify(token) {
      child.stdin.write(`${token}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} has ended`);
      return value;
    },
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
}
