/** Calls over many connections, some of which are cancelled, reset or given a deadline that passes. */
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { basic, postJson } from "./http.ts";
import type { TestServer } from "./server.ts";

/** What became of the calls. */
export interface MixedResult {
  readonly answered: number;
  /** Their deadline had passed. */
  readonly late: number;
  /** Told to come again in a moment, as the machine is busy with other things. */
  readonly refused: number;
  /** Cancelled or reset by the caller before the answer. */
  readonly broken: number;
  /** Answers that are not what was asked for, and failures that nobody had asked for. */
  readonly wrong: readonly string[];
}

const path = "/vestibule.v1.ServiceUserService/GetServiceUser";
const subjects = 32;

/** Makes machines to be asked for, and asks for them `count` times over so many connections, each time for another. */
export async function mixCalls(
  server: TestServer,
  { connections, count }: { readonly connections: number; readonly count: number },
): Promise<MixedResult> {
  const headers = { ...basic(server), "content-type": "application/json" };
  const ids = await Promise.all(
    Array.from({ length: subjects }, async (_, index) => {
      const message = { org_id: "default", body: { title: `mixed ${index}` } };
      const { json } = await postJson(
        server,
        "/vestibule.v1.ServiceUserService/CreateServiceUser",
        message,
        headers,
      );
      return json.serviceuser.id as string;
    }),
  );
  const counts = { answered: 0, late: 0, refused: 0, broken: 0 };
  const wrong: string[] = [];
  let next = 0;
  const runConnection = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let call = next++; call < count; call = next++) {
      const id = ids[call % subjects] ?? "";
      try {
        counts[await callOnce(server, agent, headers, { id, requestId: `mixed-${call}` })] += 1;
      } catch (error) {
        wrong.push(String(error));
      }
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: connections }, runConnection));
  return { ...counts, wrong };
}

async function callOnce(
  server: TestServer,
  agent: Agent,
  headers: Readonly<Record<string, string>>,
  { id, requestId }: { readonly id: string; readonly requestId: string },
): Promise<"answered" | "late" | "refused" | "broken"> {
  const chance = Math.random();
  const isBroken = chance < 0.15;
  const deadline = chance > 0.85 ? { "connect-timeout-ms": String(1 + Math.floor(Math.random() * 5)) } : {};
  const asked = request(`${server.url}${path}`, {
    method: "POST",
    agent,
    headers: { ...headers, ...deadline, "x-request-id": requestId },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asked.on("response", resolve).on("error", reject);
  });
  asked.end(JSON.stringify({ id, org_id: "default" }));
  if (isBroken) {
    answered.catch(() => {});
    await sleep(Math.random() * 4);
    // Half of them say goodbye, the others do not.
    if (chance < 0.075) asked.socket?.resetAndDestroy();
    asked.destroy();
    return "broken";
  }
  const answer = await answered;
  let text = "";
  for await (const chunk of answer) text += chunk;
  if (answer.headers["x-request-id"] !== requestId) throw new Error(`${requestId} has another's answer`);
  const json = JSON.parse(text);
  if (answer.statusCode === 200 && json.serviceuser.id === id) return "answered";
  if (json.code === "deadline_exceeded" && "connect-timeout-ms" in deadline) return "late";
  if (answer.statusCode === 503 && text.includes('"OVERLOADED"')) return "refused";
  throw new Error(`${requestId}: ${answer.statusCode} ${text}`);
}
