/** Importing what people are known as at identity providers. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Reader } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { isIssuerOfSome, isTenantIssuer } from "../lib/tenant-issuer.ts";
import type { Identity } from "../users/identity-store.ts";
import { findManyIdentities, insertIdentities } from "../users/many-store.ts";
import { RefusedRecord } from "./errors.ts";
import { type ImportChoices, type Importer, refuse, refuseBy, toPast, type Verdict } from "./importer.ts";
import type { RecordOf } from "./records.ts";
import { findPeople } from "./references.ts";

type IdentityRecord = RecordOf<"identities">;

/** A provider by which people sign in here. */
export interface KnownProvider {
  readonly name: string;
  /** Whose its identities are; `{tenantid}` stands for a tenant's id. */
  readonly issuer: string;
}

/** What the import of identities stands on. */
export interface IdentityParts {
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly clock: Clock;
  readonly choices: ImportChoices;
  readonly providers: readonly KnownProvider[];
}

/** @see Importer */
export function createIdentityImporter(parts: IdentityParts): Importer<"identities", Identity> {
  const { audit, clock, choices } = parts;
  const providers = new Map(parts.providers.map(({ name, issuer }) => [name, issuer]));

  /** Only by a provider of this place does anybody sign in; its issuer is the one that is configured. */
  function toIssuer({ provider, issuer }: IdentityRecord): string {
    const configured = providers.get(provider);
    if (configured === undefined) {
      throw new RefusedRecord("UNKNOWN_PROVIDER", "provider", "is the name of none that is configured here");
    }
    if (!isTenantIssuer(configured)) {
      if (issuer === undefined || issuer === configured) return configured;
    } else if (issuer !== undefined && isIssuerOfSome(configured, issuer)) return issuer;
    throw new RefusedRecord("UNKNOWN_PROVIDER", "issuer", `must be the provider's own, ${configured}`);
  }

  async function judge(reader: Reader, records: readonly IdentityRecord[]) {
    const findPerson = await findPeople(reader, records, choices);
    const found = await findManyIdentities(
      reader,
      records.map(({ subject }) => subject),
    );
    const known = new Map(found.map((each) => [toKey(each), each]));
    return records.map((record): Verdict<Identity> => {
      try {
        const { subject, provider, email = "", created_at } = record;
        const issuer = toIssuer(record);
        const { id: userId } = findPerson(record);
        const before = known.get(toKey({ issuer, subject }));
        if (before?.userId === userId) return { outcome: "unchanged", id: userId };
        if (before !== undefined) return refuse("IDENTITY_TAKEN", "subject", "signs in another account");
        const createdAt = toPast(created_at, clock.now());
        const made = { issuer, subject, userId, strategy: provider, email, gaveEmail: false, createdAt };
        return { outcome: "created", id: userId, made };
      } catch (error) {
        return refuseBy(error);
      }
    });
  }

  return {
    judge,
    keysOf: ({ provider, issuer = "", subject }) => [JSON.stringify([provider, issuer, subject])],
    async insert(tx, made) {
      await insertIdentities(tx, made);
      const events = made.map(({ userId, issuer, strategy }) => {
        return { action: "identity.join", target: userId, details: { issuer, strategy } } as const;
      });
      await audit.recordOwn(tx, "command-line", ...events);
    },
  };
}

function toKey({ issuer, subject }: Pick<Identity, "issuer" | "subject">): string {
  return JSON.stringify([issuer, subject]);
}
