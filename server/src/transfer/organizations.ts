/** Importing organizations. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Reader } from "../db/database.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { findManyOrganizations, findNameOwners, insertOrganizations } from "../organizations/many-store.ts";
import { defaultOrganizationName, type Organization } from "../organizations/organization.ts";
import { type ImportChoices, type Importer, present, refuse, toPast, type Verdict } from "./importer.ts";
import type { RecordOf } from "./records.ts";
import { toOrganizationId } from "./references.ts";

type OrganizationRecord = RecordOf<"organizations">;

/** A new organization, and whether its name is its own already: of one that was deleted. */
export interface NewOrganization {
  readonly organization: Organization;
  readonly ownsName: boolean;
}

/** What the import of organizations stands on. */
export interface OrganizationParts {
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly clock: Clock;
  readonly choices: ImportChoices;
}

/** @see Importer */
export function createOrganizationImporter({
  audit,
  clock,
  choices,
}: OrganizationParts): Importer<"organizations", NewOrganization> {
  const toId = ({ id, name }: OrganizationRecord) => toOrganizationId(choices.source, id, name);

  function toOrganization(record: OrganizationRecord, id: string): Organization {
    const { name, title = "", metadata = {}, avatar = "", state = "enabled", created_at } = record;
    const now = clock.now();
    return { id, name, title, metadata, avatar, state, createdAt: toPast(created_at, now), updatedAt: now };
  }

  function judgeKnown(organization: Organization, record: OrganizationRecord): Verdict<NewOrganization> {
    const { name, title, metadata, avatar, state } = record;
    const { id } = organization;
    const patch = present({ name, title, metadata, avatar });
    const changed = listChanged(organization, patch);
    const isMoved = state !== undefined && state !== organization.state;
    if (changed.length === 0 && !isMoved) return { outcome: "unchanged", id };
    return {
      outcome: "changed",
      id,
      async change({ organizations, caller }) {
        // A disabled one is not changed: it is enabled before, or disabled afterwards.
        if (isMoved && state === "enabled") await organizations.setState(caller, id, state);
        if (changed.length > 0) await organizations.update(caller, id, patch);
        if (isMoved && state === "disabled") await organizations.setState(caller, id, state);
      },
    };
  }

  async function judge(reader: Reader, records: readonly OrganizationRecord[]) {
    const names = records.map(({ name }) => name);
    const byId = await findManyOrganizations(reader, "id", records.map(toId));
    const byName = await findManyOrganizations(reader, "name", [defaultOrganizationName]);
    const owners = await findNameOwners(reader, names);
    return records.map((record): Verdict<NewOrganization> => {
      const id = toId(record);
      const known = byId.get(id) ?? byName.get(record.name);
      if (known !== undefined) return judgeKnown(known, record);
      const owner = owners.get(record.name);
      if (owner !== undefined && owner !== id) {
        return refuse("NAME_TAKEN", "name", "is, or was, another organization's, which keeps it for good");
      }
      const made = { organization: toOrganization(record, id), ownsName: owner === id };
      return { outcome: "created", id, made };
    });
  }

  return {
    judge,
    keysOf: (record) => [toId(record), `name ${record.name}`],
    async insert(tx, made) {
      const owned = made.filter(({ ownsName }) => ownsName).map(({ organization }) => organization.name);
      const organizations = made.map(({ organization }) => organization);
      await insertOrganizations(tx, organizations, new Set(owned));
      const events = organizations.map(
        ({ id, name }) =>
          ({ action: "organization.create", target: id, orgId: id, details: { name } }) as const,
      );
      await audit.recordOwn(tx, "command-line", ...events);
    },
  };
}
