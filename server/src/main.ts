/** The program: the command line with all commands. */
import { runCommandLine } from "./command-line.ts";
import { commands, helpTexts } from "./commands/commands.ts";

void runCommandLine({ commands, helpTexts });
