/** Importing who is a member of what. */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Reader } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { findManyMembers, type HeldRole, insertMembers } from "../organizations/many-store.ts";
import { type ImportChoices, type Importer, refuseBy, toPast, type Verdict } from "./importer.ts";
import type { RecordOf } from "./records.ts";
import { findOrganizations, findPeople, toOrganizationKey, toPersonKey } from "./references.ts";

type MemberRecord = RecordOf<"members">;

/** What the import of members stands on. */
export interface MemberParts {
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly clock: Clock;
  readonly choices: ImportChoices;
}

/** @see Importer */
export function createMemberImporter({
  audit,
  feed,
  clock,
  choices,
}: MemberParts): Importer<"members", HeldRole> {
  async function judge(reader: Reader, records: readonly MemberRecord[]) {
    const findPerson = await findPeople(reader, records, choices);
    const findOrganization = await findOrganizations(reader, records, choices);
    const named = records.map((record) => {
      try {
        return { orgId: findOrganization(record).id, userId: findPerson(record).id };
      } catch (error) {
        return refuseBy(error);
      }
    });
    const found = named.flatMap((each) => ("refusal" in each ? [] : each));
    const held = await findManyMembers(
      reader,
      [...new Set(found.map(({ orgId }) => orgId))],
      found.map(({ userId }) => userId),
    );
    const roles = new Map(held.map((member) => [toKey(member), member.role]));
    return records.map((record, at): Verdict<HeldRole> => {
      const ref = named[at];
      if (ref === undefined) throw new Error("a record without a verdict");
      if ("refusal" in ref) return ref;
      return judgeOne(record, ref, roles.get(toKey(ref)));
    });
  }

  function judgeOne(
    { role, created_at }: MemberRecord,
    { orgId, userId }: Pick<HeldRole, "orgId" | "userId">,
    before: HeldRole["role"] | undefined,
  ): Verdict<HeldRole> {
    if (before === role) return { outcome: "unchanged", id: userId };
    if (before === undefined) {
      const made = { orgId, userId, role, createdAt: toPast(created_at, clock.now()) };
      return { outcome: "created", id: userId, made };
    }
    return {
      outcome: "changed",
      id: userId,
      change: ({ members, caller }) => members.setRole(caller, { org: orgId, userId }, role),
    };
  }

  return {
    judge,
    keysOf: (record) => [`${toOrganizationKey(record, choices)} ${toPersonKey(record, choices)}`],
    async insert(tx, made) {
      await insertMembers(tx, made);
      const events = made.map(({ userId, orgId, role }) => {
        return { action: "member.add", target: userId, orgId, details: { role, via: "import" } } as const;
      });
      await audit.recordOwn(tx, "command-line", ...events);
      await feed.append(tx, ...made.map(({ userId }) => ({ topic: "user", subject: userId }) as const));
    },
  };
}

function toKey({ orgId, userId }: Pick<HeldRole, "orgId" | "userId">): string {
  return `${orgId} ${userId}`;
}
