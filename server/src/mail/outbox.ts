import { readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import type { Log } from "../lib/log.ts";
import { makeFolder } from "../lib/make-folder.ts";
import type { MailMessage, MailSender, MailTransport } from "./message.ts";
import { toFields } from "./smtp.ts";

/** How long files are kept, in milliseconds. */
const keptMs = 24 * 3600 * 1000;

/** What a file's name ends in until all of the mail is in it. */
const unfinished = ".part";

/** How often files are looked through for old ones, in milliseconds: there may be very many. */
const sweepEveryMs = 3600 * 1000;

/** False for a file that has gone meanwhile: whoever reads mail may remove it, and others sweep as well. */
async function isOlder(path: string, horizonMs: number): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs < horizonMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/**
 * The mail of a server without SMTP: each one a file that a mail program
 * opens, so that a newcomer can sign in on a laptop at once. The log names the
 * file, never what is in it. Folder 0700, files 0600, gone after a day, or a
 * little later.
 *
 * @param folder is made when it is first needed.
 */
export function createOutbox(options: {
  readonly folder: string;
  readonly from: MailSender;
  readonly clock: Clock;
  readonly log: Log;
}): MailTransport {
  const { folder, from, clock, log } = options;

  let sweptAtMs = Number.NEGATIVE_INFINITY;

  async function removeOld(): Promise<void> {
    const nowMs = clock.now().getTime();
    if (Math.abs(nowMs - sweptAtMs) < sweepEveryMs) return;
    sweptAtMs = nowMs;
    const horizon = nowMs - keptMs;
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const isOurs = name.endsWith(".eml") || name.endsWith(`.eml${unfinished}`);
      if (isOurs && (await isOlder(path, horizon))) await rm(path, { force: true });
    }
  }

  return {
    server: "outbox",
    async send(message: MailMessage) {
      const { createTransport } = await import("nodemailer");
      const writer = createTransport({ streamTransport: true, buffer: true, newline: "unix" });
      const { message: bytes } = await writer.sendMail({ ...toFields(message), from, date: clock.now() });
      makeFolder(folder, 0o700);
      const path = join(folder, `${newId(clock.now())}.eml`);
      // Whoever waits for a mail never sees half of one.
      await writeFile(`${path}${unfinished}`, bytes as Buffer, { mode: 0o600, flag: "wx" });
      await rename(`${path}${unfinished}`, path);
      log.info({ path }, "mail written: there is no smtp.url, so it is not sent");
      await removeOld().catch((err) => log.warn({ err }, "old mail could not be removed"));
    },
    probe: async () => {},
    close: () => {},
  };
}
