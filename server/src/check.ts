/**
 * The command line with `healthcheck` alone: what is asked every few seconds
 * comes without the server's code, which takes longer to load than to ask.
 */
import { runCommandLine } from "./command-line.ts";
import { healthcheckCommand } from "./commands/healthcheck.ts";

void runCommandLine({ commands: { healthcheck: healthcheckCommand }, helpTexts: {} });
