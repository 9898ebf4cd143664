/**
 * `vestibule keys list|rotate|revoke`, the signing keys, and `keys reencrypt`,
 * what is sealed with the encryption keys; all while servers run.
 */
import { resolveSecrets } from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { compareKeyChecks } from "../encryption/key-checks.ts";
import { reencrypt } from "../encryption/reencryption.ts";
import { sealedColumns } from "../sealed-columns.ts";
import { toSigningKeyState } from "../tokens/signing-key.ts";
import { findSigningKeys } from "../tokens/store.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { openExisting, withExistingStorage, withStorage } from "./with-storage.ts";

/** What `keys --help` says. */
export const keysHelp = `Usage: vestibule keys <action>, with the server's settings; servers may go on running

  list             the signing keys: id, algorithm, state, from when it signs, when it retires
  rotate           publish a new signing key, which signs in 15 minutes, when all have fetched it
  rotate --now     the same, signing at once: whoever keeps the old keys refuses its tokens for a while
  revoke <kid>     drop a signing key; its tokens are refused at once
  reencrypt        seal everything with the first encryption key and forget the others

More is in docs/keys.md.`;

/** @see keysHelp */
export const keysCommand: Command = async (args, context) => {
  const [action, ...rest] = args;
  switch (action) {
    case "list":
      return await list(rest, context);
    case "rotate":
      return await rotate(rest, context);
    case "revoke":
      return await revoke(rest, context);
    case "reencrypt":
      return await reencryptAll(rest, context);
    default:
      throw new UsageError("keys: expected list, rotate, revoke or reencrypt");
  }
};

const list: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("keys list takes no arguments");
  await withExistingStorage("keys list", context, async ({ database }) => {
    const keys = await findSigningKeys(database.reader);
    const now = context.clock.now();
    context.print(["KID", "ALG", "STATE", "SIGNS FROM", "RETIRES"].join("\t"));
    for (const key of keys) {
      const state = toSigningKeyState(key, keys, now);
      const retires = key.retiresAt?.toISOString() ?? "-";
      context.print([key.kid, key.algorithm, state, key.signsFromAt.toISOString(), retires].join("\t"));
    }
  });
};

const rotate: Command = async (args, context) => {
  const [flag, ...rest] = args;
  if (rest.length > 0 || (flag !== undefined && flag !== "--now"))
    throw new UsageError("keys rotate [--now]");
  await withExistingStorage("keys rotate", context, async ({ rotation }) => {
    const key = await rotation.rotate({ now: flag === "--now" });
    context.print(`${key.kid} signs from ${key.signsFromAt.toISOString()}`);
  });
};

const revoke: Command = async (args, context) => {
  const [kid, ...rest] = args;
  if (kid === undefined || rest.length > 0) throw new UsageError("keys revoke <kid>");
  await withExistingStorage("keys revoke", context, async ({ rotation }) => {
    if (!(await rotation.revoke(kid))) throw new UsageError(`keys revoke: there is no signing key ${kid}`);
    context.print(`${kid} is revoked: tokens it signed are refused from now on`);
  });
};

const reencryptAll: Command = async (args, context) => {
  if (args.length > 0) throw new UsageError("keys reencrypt takes no arguments");
  await refuseKeyNobodyHas(context);
  await withStorage(context, async ({ database, sealer, audit }) => {
    const { rows, retiredKeyIds } = await reencrypt({
      database,
      sealer,
      columns: sealedColumns,
      recordRetired: (tx, keyId) =>
        audit.recordOwn(tx, "command-line", {
          action: "encryption_key.retire",
          target: keyId,
          details: { successor_id: sealer.keyId },
        }),
    });
    for (const [name, count] of rows) if (count > 0) context.print(`${name}: ${count} sealed anew`);
    context.print(
      retiredKeyIds.length === 0
        ? `everything is sealed with the first key, ${sealer.keyId}, and no other is recorded`
        : `no longer needed: ${retiredKeyIds.join(", ")}; everything is sealed with ${sealer.keyId}`,
    );
  });
};

/** A running server that does not have the first key could read nothing that is sealed with it. */
async function refuseKeyNobodyHas(context: CommandContext): Promise<void> {
  const config = loadConfig(context);
  const opened = await openExisting("keys reencrypt", config);
  try {
    const fresh = await compareKeyChecks(opened.reader, resolveSecrets(config, { mayGenerate: false }));
    if (!fresh.includes("encryption_key")) return;
    throw new UsageError(
      "keys reencrypt: no server has the first encryption key yet; restart every server with it, then run this again",
    );
  } finally {
    await opened.close();
  }
}
