/**
 * `vestibule healthcheck`: asks the server of these settings, on this machine,
 * whether it serves. For those who look after processes and have no client of
 * their own in reach, such as a container's `HEALTHCHECK`: it opens no database
 * and loads no more than it takes to ask.
 */
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import type { ListenConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { loadConfig } from "../config/load-config.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";

/** How long the server may take to answer, in milliseconds. */
const answerMs = 3_000;

/** Nobody serves there, or not now. Of one line: it is what supervisors keep. */
class NotServingError extends Error {
  override readonly name = "NotServingError";

  constructor(why: string) {
    super(`not serving: ${why}`);
  }
}

/** Says in one line that the server serves. @throws NotServingError when it does not, or no answer comes in 3 seconds. */
export const healthcheckCommand: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("healthcheck takes no arguments");
  const { listen, isTls } = readSettings(context);
  const signal = AbortSignal.timeout(answerMs);
  const failures: string[] = [];
  for (const host of toHosts(listen)) {
    const outcome = await ask(`${isTls ? "https" : "http"}://${host}:${listen.port}/healthz`, signal);
    if (outcome === "serving") return context.print(`serving at ${host}:${listen.port}`);
    failures.push(`${host}:${listen.port}: ${outcome.why}`);
    if (outcome.isAnswer) break;
  }
  throw new NotServingError(failures.join("; "));
};

/** @throws NotServingError where they do not say where a server would be */
function readSettings(context: CommandContext): { readonly listen: ListenConfig; readonly isTls: boolean } {
  try {
    const { listen, tls } = loadConfig(context);
    if (listen.port === 0)
      throw new NotServingError("not known where: listen has port 0, which the system chooses");
    return { listen, isTls: tls !== undefined };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [first = "", ...others] = error.problems;
    const more = others.length === 0 ? "" : `, and ${others.length} more (vestibule doctor)`;
    throw new NotServingError(`not known where: the configuration cannot be used: ${first}${more}`);
  }
}

/** Where to find on this machine who listens on all addresses; one without IPv6 has `::` as well, and no `::1`. */
function toHosts({ host }: ListenConfig): readonly string[] {
  if (host === "0.0.0.0") return ["127.0.0.1"];
  if (host === "::") return ["[::1]", "127.0.0.1"];
  return [host.includes(":") ? `[${host}]` : host];
}

/** What came of asking: whether anybody answered, and why that is not enough. */
type Outcome = "serving" | { readonly why: string; readonly isAnswer: boolean };

const noAnswer = `no answer in ${answerMs / 1000} seconds`;

const connectErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the connection was cut",
  ENOTFOUND: "unknown host name",
};

function toReason({ code = "", message }: NodeJS.ErrnoException): string {
  return connectErrors[code] ?? (code.startsWith("HPE_") ? "speaks no HTTP" : code || message);
}

/** Of a piece of an answer, in characters: a longer one is not ours. */
const longestBody = 100;

function ask(url: string, signal: AbortSignal): Promise<Outcome> {
  // Nothing secret is sent, and whom the certificate names is not this address.
  const options = { signal, agent: false, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) =>
      resolve({ why: signal.aborted ? noAnswer : toReason(error), isAnswer: signal.aborted });
    const asked = (url.startsWith("https:") ? requestTls : requestPlain)(url, options, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => {
        body += text.slice(0, longestBody);
      });
      answer.on("error", fail);
      answer.on("end", () => resolve(toOutcome(answer.statusCode, body)));
    });
    asked.on("error", fail);
    asked.end();
  });
}

function toOutcome(status: number | undefined, body: string): Outcome {
  if (status === 200 && body === '{"status":"SERVING"}') return "serving";
  const isOurs = status === 503 && body === '{"status":"NOT_SERVING"}';
  const why = isOurs
    ? "it is starting or stopping, or lacks its database"
    : `answers ${status}, as another program`;
  return { why, isAnswer: true };
}
