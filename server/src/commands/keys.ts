/** `vestibule keys list|rotate|revoke`: the signing keys, while servers run. */

import { toSigningKeyState } from "../tokens/signing-key.ts";
import { findSigningKeys } from "../tokens/store.ts";
import { type Command, UsageError } from "./command.ts";
import { withStorage } from "./with-storage.ts";

/** @see keysHelp */
export const keysCommand: Command = async (args, surroundings) => {
  const [action, ...rest] = args;
  switch (action) {
    case "list":
      return await list(rest, surroundings);
    case "rotate":
      return await rotate(rest, surroundings);
    case "revoke":
      return await revoke(rest, surroundings);
    default:
      throw new UsageError("keys: expected list, rotate or revoke");
  }
};

const list: Command = async (args, surroundings) => {
  if (args.length > 0) throw new UsageError("keys list takes no arguments");
  await withStorage(surroundings, async ({ database }) => {
    const keys = await findSigningKeys(database.reader);
    const now = surroundings.clock.now();
    surroundings.print(["KID", "ALG", "STATE", "SIGNS FROM", "RETIRES"].join("\t"));
    for (const key of keys) {
      const state = toSigningKeyState(key, keys, now);
      const retires = key.retiresAt?.toISOString() ?? "-";
      surroundings.print([key.kid, key.algorithm, state, key.signsFromAt.toISOString(), retires].join("\t"));
    }
  });
};

const rotate: Command = async (args, surroundings) => {
  const [flag, ...rest] = args;
  if (rest.length > 0 || (flag !== undefined && flag !== "--now"))
    throw new UsageError("keys rotate [--now]");
  await withStorage(surroundings, async ({ rotation }) => {
    const key = await rotation.rotate({ now: flag === "--now" });
    surroundings.print(`${key.kid} signs from ${key.signsFromAt.toISOString()}`);
  });
};

const revoke: Command = async (args, surroundings) => {
  const [kid, ...rest] = args;
  if (kid === undefined || rest.length > 0) throw new UsageError("keys revoke <kid>");
  await withStorage(surroundings, async ({ rotation }) => {
    if (!(await rotation.revoke(kid))) throw new UsageError(`keys revoke: there is no signing key ${kid}`);
    surroundings.print(`${kid} is revoked: tokens it signed are refused from now on`);
  });
};
