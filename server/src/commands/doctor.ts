/**
 * `vestibule doctor`: says whether a server would start, and what stands in
 * its way. Changes nothing: makes no folder, no key and no table, and asks a
 * database that servers may be running on only for what they all may read.
 */
import { findLastBackup } from "../backup/last-backup.ts";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import {
  findKeyFilesToMake,
  hasDataDir,
  listOpenToGroup,
  refuseUsedKeys,
  resolveSecrets,
  type Secrets,
} from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { listProviderWeaknesses } from "../config/provider-weaknesses.ts";
import { toSiteName } from "../config/site-name.ts";
import type { Reader } from "../db/database.ts";
import { getSchemaState, refuseNoRoom } from "../db/migrate.ts";
import { findMove, refuseMoved } from "../db/moves.ts";
import { findOpenReader } from "../db/open-reader.ts";
import { compareKeyChecks } from "../encryption/key-checks.ts";
import { isAnySealedOtherwise } from "../encryption/sealed-column-store.ts";
import { createSealer, encryptionKeyId } from "../encryption/sealer.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { createMailTransport } from "../mail/assemble.ts";
import { toFailureText } from "../mail/mailer.ts";
import { sealedColumns } from "../sealed-columns.ts";
import { toDatabaseUrl } from "../storage.ts";
import { signingKeyPlace } from "../tokens/key-rotation.ts";
import { findSigner } from "../tokens/signing-key.ts";
import { findSigningKeys } from "../tokens/store.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { describeApplied, describeBeside } from "./migrate.ts";

/** What `doctor --help` says. */
export const doctorHelp = `Usage: vestibule doctor (no arguments), with the server's settings; servers may go on running

Says of the configuration, the mail server, the data folder, the database and the keys whether a server would start
with them, and changes nothing. Ends with 0 when it would, with 1 when something stands in its way (FAIL); what is
only good to know (warn) keeps no server from starting.`;

/** A server would not start; the lines before say why. */
class NotFitError extends Error {
  override readonly name = "NotFitError";
}

/** Prints a line for each check. @throws NotFitError when one failed, ConfigError when there is nothing to check. */
export const doctorCommand: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("doctor takes no arguments");
  const config = loadConfig(context);
  const report = new Report(context);
  report.ok(`configuration: ${config.publicUrl}, listening on ${config.listen.host}:${config.listen.port}`);
  checkProviders(config, report);
  if (config.publicUrl.startsWith("https:") && !config.authentication.session.isBound) {
    report.warn(
      "session cookie: not tied to this host, as authentication.session.domain is set or .secure is false: another host of its domain can sign a browser in as somebody else",
    );
  }
  await checkMail(config, context, report);
  await report.check("data directory", () => checkDataDir(config));
  const open = listOpenToGroup(config);
  if (open.length > 0) {
    report.warn(`data directory: its group may use ${open.join(", ")}: nobody else is to be in it`);
  }
  await report.check("database", () => checkDatabase(config, context, report));
  if (report.isFailed) throw new NotFitError("doctor: a server would not start");
};

/** Lines for a person, and whether one of them was bad. */
class Report {
  readonly #print: CommandContext["print"];
  isFailed = false;

  constructor({ print }: CommandContext) {
    this.#print = print;
  }

  ok(text: string): void {
    this.#print(`ok    ${text}`);
  }

  /** What does not keep a server from starting, and is good to know. */
  warn(text: string): void {
    this.#print(`warn  ${text}`);
  }

  /** Runs a check; what it throws is printed, every line of it. */
  async check(name: string, run: () => string | undefined | Promise<string | undefined>): Promise<void> {
    try {
      const text = await run();
      if (text !== undefined) this.ok(`${name}: ${text}`);
    } catch (error) {
      this.isFailed = true;
      // What a database refuses says already that it is the database's.
      for (const line of toLines(error))
        this.#print(`FAIL  ${line.startsWith(`${name}: `) ? line : `${name}: ${line}`}`);
    }
  }
}

function toLines(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  if (error instanceof DomainError) return [error.detail ?? error.message];
  return [error instanceof Error ? error.message : String(error)];
}

/** Says what to register with each provider, and what tells providers apart where no URL of ours does. */
function checkProviders({ authentication }: Config, report: Report): void {
  const { oidcProviders, callbackUrls, plainCallbackUrl } = authentication;
  for (const provider of oidcProviders) {
    report.ok(`provider ${provider.name}: its redirect URI is ${provider.callbackUrl}`);
    for (const line of listProviderWeaknesses(provider)) report.warn(line);
  }
  const pages = callbackUrls.filter((url) => url !== plainCallbackUrl);
  if (oidcProviders.length < 2 || pages.length === 0) return;
  report.warn(
    `callback_urls: several providers answer at ${pages.join(", ")}; one that is hostile is told from the others there by iss (RFC 9207), where a provider sends it and the page hands it on, and by each code being sent once`,
  );
}

/** Whether the mail server lets us in. One that does not keeps no server from starting, but nobody gets a code. */
async function checkMail(config: Config, { clock }: CommandContext, report: Report): Promise<void> {
  if (config.smtpUrl === undefined) return;
  const siteName = toSiteName(config);
  const transport = await createMailTransport({ settings: config, siteName, clock, log: silentLog });
  try {
    await transport.probe();
    report.ok(`mail server: ${transport.server}`);
  } catch (error) {
    report.warn(`mail server: ${transport.server} does not let us in: ${toFailureText(error)}`);
  } finally {
    transport.close();
  }
}

function checkDataDir({ dataDir }: Config): string {
  return hasDataDir(dataDir) ? dataDir : `${dataDir}, which the first start makes`;
}

async function checkDatabase(
  config: Config,
  context: CommandContext,
  report: Report,
): Promise<string | undefined> {
  const opened = await findOpenReader({ url: toDatabaseUrl(config), log: silentLog });
  if (opened === undefined) return await checkBeforeFirstStart(config, report, "none yet");
  try {
    const schema = await getSchemaState(opened.reader);
    const { isEmpty, pending } = schema;
    if (isEmpty) {
      await refuseNoRoom(opened.reader);
      return await checkBeforeFirstStart(config, report, "empty");
    }
    await checkMove(opened.reader, report);
    report.ok(`database: ${config.database.dialect}`);
    await report.check("schema", () =>
      pending.length === 0
        ? describeApplied(schema)
        : `the next start applies ${pending.map(({ name }) => name).join(", ")}; ${describeBeside(pending)}`,
    );
    await report.check("keys", () => checkKeys(config, opened.reader, context, report));
    if (pending.length === 0) {
      const last = await findLastBackup(opened.reader);
      report.ok(
        `backup: ${last === undefined ? "none was made yet" : `the last one is as of ${last.at.toISOString()}`}`,
      );
      await report.check("sealed values", () => checkSealed(config, opened.reader));
    }
    return undefined;
  } finally {
    await opened.close();
  }
}

async function checkMove(reader: Reader, report: Report): Promise<void> {
  await refuseMoved(reader);
  const move = await findMove(reader);
  if (move === undefined) return;
  report.warn(
    `database: a copy of it to ${move.place} was begun at ${move.at.toISOString()} and is not finished; ` +
      "copy again, or give it up (vestibule copy --take-back)",
  );
}

async function checkBeforeFirstStart(config: Config, report: Report, state: string): Promise<string> {
  refuseUsedKeys(config, encryptionKeyId);
  await report.check("keys", () => {
    const paths = findKeyFilesToMake(config);
    return paths.length === 0 ? "all there" : `the first start makes ${paths.join(", ")}`;
  });
  return `${config.database.dialect}, ${state}; the first start makes its tables`;
}

async function checkKeys(
  config: Config,
  reader: Reader,
  context: CommandContext,
  report: Report,
): Promise<string> {
  const secrets = resolveSecrets(config, { mayGenerate: false });
  const fresh = await compareKeyChecks(reader, secrets);
  await report.check("signing key", () => checkSigner(reader, secrets, context));
  return fresh.length === 0
    ? "match the database"
    : `match; the next start records a new ${fresh.join(", ")}`;
}

/** A server that was not restarted may have gone on sealing with a key that was retired since. */
async function checkSealed(config: Config, reader: Reader): Promise<string> {
  const { encryptionKeys } = resolveSecrets(config, { mayGenerate: false });
  const keyIds = encryptionKeys.map(encryptionKeyId);
  for (const sealed of sealedColumns) {
    if (await isAnySealedOtherwise(reader, sealed, keyIds)) {
      throw new Error(
        `${sealed.table}.${sealed.column} holds values of an encryption key that is not configured: list that key again`,
      );
    }
  }
  return "all by configured keys";
}

async function checkSigner(reader: Reader, secrets: Secrets, { clock }: CommandContext): Promise<string> {
  const keys = await findSigningKeys(reader);
  const sealer = createSealer(secrets.encryptionKeys);
  for (const { kid, sealedPrivateKey } of keys) sealer.open(signingKeyPlace(kid), sealedPrivateKey);
  const signer = findSigner(keys, clock.now());
  return signer === undefined ? "none yet, the next start makes one" : `${signer.kid} (${signer.algorithm})`;
}
