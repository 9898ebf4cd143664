/**
 * What the trail forgets of a person whose account is deleted: names and
 * addresses among the details of its records, as {@link actions} says which.
 * The records stay, and nothing else in them changes.
 */
import type { Tx } from "../db/database.ts";
import { type ActionSpec, actions } from "./actions.ts";
import type { Mailboxes } from "./mailboxes.ts";
import { findSaid, updateSaid } from "./store.ts";

/** In place of what is struck out. */
const struckOut = "[deleted]";

const personal = new Map(
  Object.entries<ActionSpec>(actions).flatMap(([action, spec]) =>
    spec.personal === undefined ? [] : [[action, spec.personal] as const],
  ),
);
/** What people have given names to, who alone do that: passkeys and personal access tokens. */
const named = [...personal]
  .filter(([, names]) => names.some((name) => name === "name" || name === "title"))
  .map(([action]) => action);

/**
 * Strikes out, with `tx`, what a person was called and reached by: their present
 * address and those before it, but for one that is another account's by now.
 * Records of the deletion itself come before.
 *
 * @param person whose row is gone.
 */
export async function strikeOut(
  tx: Tx,
  mailboxes: Pick<Mailboxes, "hash" | "findUserId">,
  person: { readonly id: string; readonly email: string },
): Promise<void> {
  const about = await findSaid(tx, "target_id", [person.id], [...personal.keys()]);
  const own = await findSaid(tx, "actor_id", [person.id], named);
  const addresses = new Set([person.email]);
  for (const { details } of about) {
    for (const name of ["email", "previous_email"]) {
      const address = details[name];
      if (address === undefined || address === struckOut) continue;
      if ((await mailboxes.findUserId(tx, address)) === undefined) addresses.add(address);
    }
  }
  const hashes = [...addresses].map((address) => mailboxes.hash(address));
  const ofMailboxes = await findSaid(tx, "mailbox_hash", hashes, [...personal.keys()]);
  for (const said of [...about, ...own, ...ofMailboxes]) {
    const names = personal.get(said.action) ?? [];
    const struck = Object.fromEntries(names.map((name) => [name, struckOut]));
    await updateSaid(tx, { ...said, details: { ...said.details, ...struck } });
  }
}
