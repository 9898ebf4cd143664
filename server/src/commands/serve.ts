/** `vestibule serve`: the server, until it is told to stop, as one process or several. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { prepareDataDir } from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { listProviderWeaknesses } from "../config/provider-weaknesses.ts";
import { acquireServerLock, joinServer } from "../db/server-lock.ts";
import { systemMonotonicMs } from "../lib/clock.ts";
import { noteCompiled } from "../lib/compiled.ts";
import { giveBackMemory } from "../lib/give-back-memory.ts";
import type { Log } from "../lib/log.ts";
import { createLog, type ProcessLog } from "../lib/pino-log.ts";
import { Stopping } from "../lib/stopping.ts";
import type { Tracing } from "../lib/tracing.ts";
import type { Member, MemberPlace } from "../processes/member.ts";
import type { BootstrapCredential } from "../service-users/bootstrap.ts";
import { openStorage, toDatabaseUrl } from "../storage.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";

/** What `serve --help` says. */
export const serveHelp = `Usage: vestibule serve (the default), with the server's settings, until SIGTERM or SIGINT

  --processes <n>     as many processes on the one port; 1, if not given
  --processes auto    as many as there are cores

Requests in flight may finish, and it ends with 0; a second signal ends it at once. Settings are in
docs/configuration.md, and what several processes take in docs/processes.md.`;

/** How long the process takes to stop at most: less than the 30 s after which Kubernetes kills it. */
const stopMs = 25_000;

/** How long spans may take to reach their collector, and the database to close. */
const lastSpansMs = 3_000;
const closeMs = 2_000;

/** How long several processes may take, in milliseconds: each names what it gives up by then. */
const stopAllMs = stopMs + 2_000;

/** More than any machine has cores. */
const maxProcesses = 256;

/**
 * Serves until SIGTERM or SIGINT, then drains.
 *
 * @throws GaveUpError when something could not be finished in time.
 */
export const serveCommand: Command = async (args, context) => {
  const { count, place } = readArguments(args);
  const config = loadConfig(context);
  if (place !== undefined) return await serveAsMember(config, place, context);
  const { log, output } = await createLog(config.log, count > 1);
  context.onHangUp(() => log.warn({}, "SIGHUP changes nothing: settings are read at start alone"));
  for (const line of config.authentication.oidcProviders.flatMap(listProviderWeaknesses)) log.warn({}, line);
  prepareDataDir(config.dataDir);
  const lock = acquireServerLock(toDatabaseUrl(config), count > 1);
  try {
    if (count > 1) await supervise(count, log, context);
    else await serveOne({ config, log, output, context, untilStopped: context.untilStopped });
  } finally {
    lock.release();
  }
  log.info({}, "stopped");
};

/** Which process this is among several, or how many to start. @throws UsageError */
function readArguments(args: readonly string[]): { count: number; place: MemberPlace | undefined } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      processes: { type: "string" },
      process: { type: "string" },
      joining: { type: "boolean" },
    },
  });
  if (positionals.length > 0) throw new UsageError("serve takes no arguments");
  const { processes = "1", process: number, joining: areServing = false } = values;
  const count = processes === "auto" ? Math.min(availableParallelism(), maxProcesses) : Number(processes);
  if (!/^(auto|[1-9]\d*)$/.test(processes) || count > maxProcesses) {
    throw new UsageError(`--processes: must be auto or a whole number from 1 to ${maxProcesses}`);
  }
  return { count, place: number === undefined ? undefined : { number: Number(number), areServing } };
}

/** Has several processes serve, and ends them. @throws ProcessesError */
async function supervise(count: number, log: Log, context: CommandContext): Promise<void> {
  const { Supervisor } = await import("../processes/supervisor.ts");
  const { forkMember } = await import("../processes/fork.ts");
  const supervisor = new Supervisor({
    count,
    log,
    fork: forkMember,
    monotonicMs: systemMonotonicMs,
    stopMs: stopAllMs,
  });
  // Also when a second signal ends this process at once.
  process.once("exit", () => supervisor.kill());
  const stopped = context.untilStopped();
  await Promise.race([supervisor.start(), stopped]);
  await supervisor.stop(await stopped);
}

/** Serves as one of the processes that a supervisor has started. @throws GaveUpError */
async function serveAsMember(config: Config, place: MemberPlace, context: CommandContext): Promise<void> {
  const { findSupervisorChannel, Member } = await import("../processes/member.ts");
  const channel = findSupervisorChannel();
  if (channel === undefined) throw new UsageError("--process is for what --processes starts");
  const member = new Member(place, channel);
  const { log, output } = await createLog(config.log, true);
  const untilStopped = () => Promise.race([context.untilStopped(), member.untilStopped]);
  try {
    const lock = joinServer(toDatabaseUrl(config));
    await serveOne({ config, log, output, context, member, untilStopped });
    lock.release();
  } finally {
    member.close();
  }
}

/** What one process serves by. */
interface ServeOneOptions extends ProcessLog {
  readonly config: Config;
  readonly context: CommandContext;
  /** Of several processes, which this is. */
  readonly member?: Member;
  readonly untilStopped: () => Promise<string>;
}

async function serveOne({
  config,
  log,
  output,
  context,
  member,
  untilStopped,
}: ServeOneOptions): Promise<void> {
  const { clock, print } = context;
  const tracing = await openTracing(config, log);
  const stopping = new Stopping({ log, totalMs: stopMs });
  const storage = await openStorage(config, log, clock, "server", tracing, member);
  try {
    const parts = { config, storage, log, clock, tracing, logOutput: output };
    const app = await createApp({ ...parts, siblings: member });
    const which = member === undefined ? {} : { process: member.number };
    log.info({ ...which, url: config.publicUrl, listen: `${app.host}:${app.port}` }, "ready");
    member?.noteReady();
    if (app.generatedCredential !== undefined) printWelcome(config, app.generatedCredential, print);
    void app.warmed.then(endStart);
    const signal = await untilStopped();
    log.info({ signal }, "stopping: requests in flight may finish");
    await app.close(stopping);
  } finally {
    await Promise.all([
      stopping.step("traces", lastSpansMs + closeMs, () => tracing?.close(lastSpansMs)),
      stopping.step("database", closeMs, () => storage.close()),
    ]);
  }
  stopping.finish();
}

/** What only the start ran is not compiled any more once the garbage is collected. */
async function endStart(): Promise<void> {
  noteCompiled("server");
  await giveBackMemory();
}

/** Traces, if the environment asks for them. Nobody else pays for what they take. */
async function openTracing({ tracing: config }: Config, log: Log): Promise<Tracing | undefined> {
  if (config === undefined) return undefined;
  const { createTracing } = await import("../tracing/tracing.ts");
  const exporters = [...(config.otlp ? ["otlp"] : []), ...(config.console ? ["console"] : [])];
  log.info({ exporters, service: config.resourceAttributes["service.name"] }, "traces are on");
  return createTracing({ config, log });
}

/** The only time the generated secret is shown. */
function printWelcome(
  { publicUrl }: Config,
  { clientId, clientSecret }: BootstrapCredential,
  print: (line: string) => void,
): void {
  const basic = `${clientId}:${clientSecret}`;
  print(`
Vestibule is ready at ${publicUrl}

The first credential, a superuser's. It is shown this once:

  client_id      ${clientId}
  client_secret  ${clientSecret}

Get an access token:

  curl -s -u ${basic} -H 'Content-Type: application/json' -d '{}' ${publicUrl}/vestibule.v1.AuthService/AuthToken

See who it is:

  curl -s -u ${basic} -H 'Content-Type: application/json' -d '{}' ${publicUrl}/vestibule.v1.AuthService/GetCurrentUser

Create a service user:

  curl -s -u ${basic} -H 'Content-Type: application/json' \\
    -d '{"org_id":"default","body":{"title":"My first machine"}}' \\
    ${publicUrl}/vestibule.v1.ServiceUserService/CreateServiceUser
`);
}
