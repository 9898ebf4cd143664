/** Importing people. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database, Reader } from "../db/database.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { findHeldAddresses, findManyUsers, insertUsers } from "../users/many-store.ts";
import { toNewUser, type User } from "../users/user.ts";
import { type ImportChoices, type Importer, present, refuse, toPast, type Verdict } from "./importer.ts";
import { toNamedId } from "./named-id.ts";
import { PeopleSearches } from "./people-searches.ts";
import type { RecordOf } from "./records.ts";

type PersonRecord = RecordOf<"people">;

/** What the import of people stands on. */
export interface PeopleParts {
  readonly database: Database;
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly clock: Clock;
  readonly choices: ImportChoices;
}

/** The id of a person as their system knows them; without one, as their address does. */
export function toPersonId(source: string, id: string | undefined, email: string): string {
  return id === undefined ? toNamedId(["address"], email) : toNamedId(["people", source], id);
}

/** Whether an account's address is surely its owner's: proven, or given by who runs this place. */
export function isOwnersAddress({ emailProven, isEmailGiven }: User): boolean {
  return emailProven || isEmailGiven === true;
}

/**
 * Whether a record's address may find an account: one of which the file says
 * that nobody verified it may have been typed by a stranger there.
 */
export function mayMatch(isVerified: boolean | undefined, { trust }: ImportChoices): boolean {
  return isVerified !== false || trust === "all";
}

/** @see Importer */
export function createPeopleImporter(parts: PeopleParts): Importer<"people", User> {
  const { audit, clock, choices } = parts;
  const { source } = choices;
  const searches = new PeopleSearches(parts);

  function toUser(record: PersonRecord, id: string): User {
    const { email_verified: isVerified, email, name, title, metadata, avatar, state, created_at } = record;
    const now = clock.now();
    const isTrusted = choices.trust !== "none" && isVerified === true;
    return {
      ...toNewUser(email, now),
      ...present({ name, title, metadata, avatar, state }),
      id,
      emailProven: isTrusted,
      // One that nobody verified there may be a stranger's: whoever proves the mailbox takes the account over.
      isEmailGiven: !isTrusted && mayMatch(isVerified, choices),
      createdAt: toPast(created_at, now),
    };
  }

  function judgeKnown(user: User, record: PersonRecord, hasOwnId: boolean): Verdict<User> {
    const { email, name, title, metadata, avatar, state } = record;
    // An address by which somebody is known says who it is, not where they have moved to or from.
    const patch = present({ name, title, metadata, avatar, ...(hasOwnId && { email }) });
    const changed = listChanged(user, patch);
    const isMoved = state !== undefined && state !== user.state;
    if (changed.length === 0 && !isMoved) return { outcome: "unchanged", id: user.id };
    return {
      outcome: "changed",
      id: user.id,
      async change({ users, caller }) {
        if (changed.length > 0) await users.update(caller, user.id, patch);
        if (isMoved) await users.setState(caller, user.id, state);
      },
    };
  }

  async function judge(reader: Reader, records: readonly PersonRecord[]) {
    const ids = records.map(({ id, email }) => toPersonId(source, id, email));
    const emails = records.map(({ email }) => email);
    const names = records.flatMap(({ name }) => name ?? []);
    const byId = await findManyUsers(reader, "id", ids);
    const byEmail = await findManyUsers(reader, "email", emails);
    const byName = await findManyUsers(reader, "name", names);
    const held = await findHeldAddresses(reader, emails, clock.now());
    return records.map((record, at): Verdict<User> => {
      const id = ids[at] ?? "";
      const known = byId.get(id);
      const hasOwnId = record.id !== undefined;
      const other = byEmail.get(record.email);
      // Who is known by an address alone, and has moved, is not whom it may mean since another has it.
      const isTheirs = hasOwnId || other === undefined || other.id === known?.id;
      if (known !== undefined && isTheirs) return judgeKnown(known, record, hasOwnId);
      if (other !== undefined) {
        const isMatched = choices.matchAddresses && isOwnersAddress(other);
        if (isMatched && mayMatch(record.email_verified, choices)) return judgeKnown(other, record, false);
        return refuse("ADDRESS_TAKEN", "email", describeTaken(other, record, choices));
      }
      if (held.has(record.email)) {
        return refuse("ADDRESS_TAKEN", "email", "is held for an account that had it lately");
      }
      if (record.name !== undefined && byName.has(record.name)) {
        return refuse("NAME_TAKEN", "name", "is another account's");
      }
      return { outcome: "created", id, made: toUser(record, id) };
    });
  }

  return {
    judge,
    keysOf: ({ id, email, name }) => [
      toPersonId(source, id, email),
      `address ${email}`,
      ...(name === undefined ? [] : [`name ${name}`]),
    ],
    async insert(tx, made) {
      await insertUsers(tx, made);
      await searches.add(tx, made);
      const events = made.map(({ id }) => ({ action: "user.create", target: id }) as const);
      await audit.recordOwn(tx, "command-line", ...events);
    },
    settle: (isLast) => searches.settle(isLast),
  };
}

function describeTaken(other: User, { email_verified }: PersonRecord, choices: ImportChoices): string {
  if (!mayMatch(email_verified, choices)) return `is the address of account ${other.id}, and not verified`;
  if (choices.matchAddresses) return `is the address of account ${other.id}, which has not proven it`;
  return `is the address of account ${other.id}; --match-addresses takes it for this person's`;
}
