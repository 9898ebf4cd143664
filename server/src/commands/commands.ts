/** The commands there are. */
import { backupCommand, backupHelp } from "./backup.ts";
import type { CommandTable } from "./command.ts";
import { copyCommand, copyHelp } from "./copy.ts";
import { doctorCommand, doctorHelp } from "./doctor.ts";
import { exportCommand, exportHelp } from "./export.ts";
import { gateCommand } from "./gate.ts";
import { healthcheckCommand } from "./healthcheck.ts";
import { importCommand, importHelp } from "./import.ts";
import { keysCommand, keysHelp } from "./keys.ts";
import { mailCommand, mailHelp } from "./mail.ts";
import { migrateCommand, migrateHelp } from "./migrate.ts";
import { restoreCommand, restoreHelp } from "./restore.ts";
import { serveCommand, serveHelp } from "./serve.ts";

/** Every command by its name. */
export const commands: CommandTable["commands"] = {
  serve: serveCommand,
  migrate: migrateCommand,
  keys: keysCommand,
  gate: gateCommand,
  mail: mailCommand,
  backup: backupCommand,
  restore: restoreCommand,
  copy: copyCommand,
  export: exportCommand,
  import: importCommand,
  healthcheck: healthcheckCommand,
  doctor: doctorCommand,
};

/** Of commands that have more to say than a line. */
export const helpTexts: CommandTable["helpTexts"] = {
  serve: serveHelp,
  keys: keysHelp,
  mail: mailHelp,
  migrate: migrateHelp,
  backup: backupHelp,
  restore: restoreHelp,
  copy: copyHelp,
  export: exportHelp,
  import: importHelp,
  doctor: doctorHelp,
};
