/** `vestibule serve`: the server, until it is told to stop. */
import { createApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { prepareDataDir } from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { listProviderWeaknesses } from "../config/provider-weaknesses.ts";
import { acquireServerLock } from "../db/server-lock.ts";
import { giveBackMemory } from "../lib/give-back-memory.ts";
import type { Log } from "../lib/log.ts";
import { createLog } from "../lib/pino-log.ts";
import { Stopping } from "../lib/stopping.ts";
import type { Tracing } from "../lib/tracing.ts";
import type { BootstrapCredential } from "../service-users/bootstrap.ts";
import { openStorage, toDatabaseUrl } from "../storage.ts";
import { type Command, UsageError } from "./command.ts";

/** How long the process takes to stop at most: less than the 30 s after which Kubernetes kills it. */
const stopMs = 25_000;

/** How long spans may take to reach their collector, and the database to close. */
const lastSpansMs = 3_000;
const closeMs = 2_000;

/**
 * Serves until SIGTERM or SIGINT, then drains.
 *
 * @throws GaveUpError when something could not be finished in time.
 */
export const serveCommand: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("serve takes no arguments");
  const { clock, print } = context;
  const config = loadConfig(context);
  const { log, output } = await createLog(config.log);
  context.onHangUp(() => log.warn({}, "SIGHUP changes nothing: settings are read at start alone"));
  for (const line of config.authentication.oidcProviders.flatMap(listProviderWeaknesses)) log.warn({}, line);
  prepareDataDir(config.dataDir);
  const tracing = await openTracing(config, log);
  const lock = acquireServerLock(toDatabaseUrl(config));
  const stopping = new Stopping({ log, totalMs: stopMs });
  try {
    const storage = await openStorage(config, log, clock, "server", tracing);
    try {
      const app = await createApp({ config, storage, log, clock, tracing, logOutput: output });
      log.info({ url: config.publicUrl, listen: `${app.host}:${app.port}` }, "ready");
      if (app.generatedCredential !== undefined) printWelcome(config, app.generatedCredential, print);
      void app.warmed.then(giveBackMemory);
      const signal = await context.untilStopped();
      log.info({ signal }, "stopping: requests in flight may finish");
      await app.close(stopping);
    } finally {
      await Promise.all([
        stopping.step("traces", lastSpansMs + closeMs, () => tracing?.close(lastSpansMs)),
        stopping.step("database", closeMs, () => storage.close()),
      ]);
    }
  } finally {
    lock.release();
  }
  stopping.finish();
  log.info({}, "stopped");
};

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
