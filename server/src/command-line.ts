/**
 * The command line. Reads the process's environment once and hands it on;
 * a failure that the operator can mend is one clear line, anything else its
 * stack.
 */
import { parseArgs } from "node:util";
import { type CommandContext, CommandFailure, type CommandTable, UsageError } from "./commands/command.ts";
import { systemClock } from "./lib/clock.ts";
import { noteCompiled } from "./lib/compiled.ts";
import { DomainError } from "./lib/errors.ts";
import { findNearest } from "./lib/suggest.ts";
import { untilDrained } from "./lib/until-drained.ts";
import { version } from "./lib/version.ts";

const help = `vestibule ${version}, a schema-first authentication service

Usage: vestibule [--config <file>] <command>

  serve                serve until SIGTERM or SIGINT (the default); --processes <n|auto> for several cores
  migrate [--dry-run]  bring the database's schema up to date, or say what that would do
  keys list            list the signing keys and what each is doing
  keys rotate [--now]  publish a new signing key; it signs in 15 minutes, or at once
  keys revoke <kid>    drop a signing key; its tokens are refused at once
  keys reencrypt       seal everything with the first encryption key, forget the others
  gate config <proxy>  print the files that put nginx, Caddy, HAProxy, Traefik or Envoy before the gate
  mail test <address>  send a mail there, to see whether mail gets out
  backup <file>        write all data to one file while servers run; backup verify <file>
  restore <file>       put a backup into an empty database
  copy --to <address>  copy the database to another one, which servers then run on
  export <what>        people, organizations and the like, as lines of JSON or CSV
  import <what> <file> the same, or Keycloak's or Frontier's, into the database while servers run
  healthcheck          ask the server of these settings whether it serves: 0 if it does, else 1
  doctor               check the configuration, the database and the keys
  version              print the version

Settings come from the environment (VESTIBULE_…) and a YAML file; see
docs/configuration.md.`;

/** Failures that are the operator's to mend: one line says all. */
const plainFailures = new Set([
  "UsageError",
  "BackupError",
  "CopyError",
  "CommandFailure",
  "ConfigError",
  "DatabaseRefusedError",
  "KeyMismatchError",
  "BootstrapConflictError",
  "ListenError",
  "NotFitError",
  "ReencryptionError",
  "GaveUpError",
  "NotServingError",
  "MailTestError",
  "ProcessesError",
  "TransferError",
  "WholeFileError",
]);

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Whoever has read enough may go away: the rest is then left out. */
async function stream(texts: AsyncIterable<string>): Promise<void> {
  for await (const text of texts) {
    if (!process.stdout.write(text)) await untilDrained(process.stdout);
    if (process.stdout.errored) return;
  }
}

/** On a terminal SIGHUP says that it has gone; elsewhere daemons are told by it to read their settings again. */
const endingSignals: readonly NodeJS.Signals[] = [
  "SIGTERM",
  "SIGINT",
  ...(isTty() ? ["SIGHUP" as const] : []),
];

function isTty(): boolean {
  return process.stdout.isTTY === true;
}

/** The first signal asks the process to end; a second one ends it at once. */
function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    for (const signal of endingSignals) {
      process.on(signal, () => {
        if (isStopping) process.exit(1);
        isStopping = true;
        resolve(signal);
      });
    }
  });
}

function suggest(name: string, known: readonly string[]): string {
  const nearest = findNearest(name, known);
  return nearest === undefined ? "" : `did you mean ${nearest}? Or `;
}

/** Every 64th id of a key begins with a dash, being base64url, and would be taken for options. */
function shieldKid(argv: readonly string[]): string[] {
  const at = argv.findIndex((arg, index) => argv[index - 1] === "revoke" && /^-[\w-]{42}$/.test(arg));
  return at < 0 ? [...argv] : [...argv.toSpliced(at, 1), "--", ...argv.slice(at, at + 1)];
}

/** Commands that read options of their own, which stand behind their names. */
const withOptions = new Set(["gate", "migrate", "backup", "restore", "copy", "export", "import"]);

/** What is for this program, the command's name included, and what is for a command with options of its own. */
function splitAtCommand(
  argv: readonly string[],
): readonly [ours: readonly string[], theirs: readonly string[]] {
  const options = { config: { type: "string" } } as const;
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const command = tokens.find(({ kind }) => kind === "positional");
  if (command?.kind !== "positional" || !withOptions.has(command.value)) return [argv, []];
  return [argv.slice(0, command.index + 1), argv.slice(command.index + 1)];
}

async function run(argv: readonly string[], { commands, helpTexts }: CommandTable): Promise<void> {
  const [ours, theirs] = splitAtCommand(argv);
  const { values, positionals } = parseArgs({
    args: shieldKid(ours),
    allowPositionals: true,
    options: {
      config: { type: "string" },
      now: { type: "boolean" },
      processes: { type: "string" },
      // What the supervisor of several processes tells each.
      process: { type: "string" },
      joining: { type: "boolean" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean" },
    },
  });
  const [name = "serve", ...rest] = positionals;
  if (values.version || name === "version") return print(version);
  const helpText = Object.hasOwn(helpTexts, name) ? helpTexts[name] : undefined;
  // Without a command it is asked about all of them.
  if (values.help || name === "help") return print((positionals.length > 0 ? helpText : undefined) ?? help);
  if (helpText !== undefined && theirs.some((arg) => arg === "--help" || arg === "-h"))
    return print(helpText);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined)
    throw new UsageError(`unknown command ${name}; ${suggest(name, Object.keys(commands))}try --help`);
  const env = values.config === undefined ? process.env : { ...process.env, VESTIBULE_CONFIG: values.config };
  const context: CommandContext = {
    env,
    cwd: process.cwd(),
    isTty: isTty(),
    clock: systemClock,
    print,
    write: (text) => void process.stdout.write(text),
    stream,
    errors: {
      isTty: process.stderr.isTTY === true,
      write: (text) => void process.stderr.write(text),
    },
    untilStopped,
    onHangUp: (listener) => void process.on("SIGHUP", listener),
  };
  const { now, processes, process: place, joining } = values;
  const options = [
    ...(now ? ["--now"] : []),
    ...(processes === undefined ? [] : [`--processes=${processes}`]),
    ...(place === undefined ? [] : [`--process=${place}`]),
    ...(joining ? ["--joining"] : []),
  ];
  await command([...rest, ...options, ...theirs], context);
  if (name !== "serve") noteCompiled("command");
}

function listenToProcess(): void {
  // Whoever read our output may go away and a disk below it fill up; that is no reason to stop serving.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
  // Without a listener it would end the process.
  if (!endingSignals.includes("SIGHUP")) process.on("SIGHUP", () => {});
}

/** How long what is left may keep the process once a command has ended, in milliseconds. */
const lingerMs = 500;

/** Runs the one of these commands that the process was started with, and sees to how the process ends. */
export async function runCommandLine(table: CommandTable): Promise<void> {
  listenToProcess();
  try {
    await run(process.argv.slice(2), table);
    // An export of spans to a collector that is gone tries again, and nobody waits for it any more.
    setTimeout(() => process.exit(), lingerMs).unref();
  } catch (error) {
    process.stderr.write(`${toPlainFailure(error) ?? toStack(error)}\n`);
    // At once: what a start had begun when it failed must not keep the process.
    process.exit(error instanceof CommandFailure ? error.exitCode : 1);
  }
}

/** What the operator can mend, in their words; undefined for what only a developer can. */
function toPlainFailure(error: unknown): string | undefined {
  if (error instanceof DomainError && error.kind === "unavailable") {
    return `vestibule: ${error.detail ?? error.message}`;
  }
  if (!(error instanceof Error)) return undefined;
  if (isArgumentError(error)) return `vestibule: ${toFirstClause(error.message)}; try --help`;
  return plainFailures.has(error.name) ? `vestibule: ${error.message}` : undefined;
}

function isArgumentError(error: Error & { code?: string }): boolean {
  return error.code?.startsWith("ERR_PARSE_ARGS") === true;
}

/** `parseArgs` goes on to explain positional arguments that begin with a dash, which no command takes. */
function toFirstClause(message: string): string {
  const [clause = message] = message.split(/\.\s/, 1);
  return clause.charAt(0).toLowerCase() + clause.slice(1);
}

function toStack(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
