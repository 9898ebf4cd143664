/**
 * Loaded into a server before its own code (`NODE_OPTIONS=--import`): it resolves
 * no names and connects to nobody. Where inputs are made up, so are the hosts in
 * them, and those of examples belong to others.
 */
import dns from "node:dns/promises";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";

const refusal = (code: string) => Object.assign(new Error(`offline: ${code}`), { code });

dns.lookup = (() => Promise.reject(refusal("ENOTFOUND"))) as typeof dns.lookup;
Socket.prototype.connect = function (this: Socket) {
  return this.destroy(refusal("ENETUNREACH"));
} as typeof Socket.prototype.connect;
syncBuiltinESMExports();
