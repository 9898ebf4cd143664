import { channel } from "node:diagnostics_channel";

const compiled = channel("vestibule.compiled");

/**
 * Tells the command that runs this program, which may keep it for the next
 * time, that what such a run takes is compiled by now: a server's start, or
 * another command that has done its work.
 */
export function noteCompiled(kind: "server" | "command"): void {
  compiled.publish(kind);
}
