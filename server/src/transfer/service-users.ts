/** Importing machines and their public keys; secrets and tokens are not moved, nor is the superuser of the first start. */
import { isDeepStrictEqual } from "node:util";
import type { AuditTrail } from "../audit/audit.ts";
import type { Reader } from "../db/database.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Credential, KeyPair } from "../service-users/credential.ts";
import {
  findManyCredentials,
  findManyServiceUsers,
  insertServiceUsers,
} from "../service-users/many-store.ts";
import { readPublicJwk } from "../service-users/public-jwk.ts";
import type { ServiceUser } from "../service-users/service-user.ts";
import { lockServiceUser } from "../service-users/store.ts";
import { RefusedRecord } from "./errors.ts";
import {
  type ImportChoices,
  type Importer,
  leastRole,
  present,
  refuseBy,
  toPast,
  type Verdict,
} from "./importer.ts";
import { toNamedId } from "./named-id.ts";
import type { RecordOf } from "./records.ts";
import { findOrganizations } from "./references.ts";
import type { Rules } from "./rules.ts";

type ServiceUserRecord = RecordOf<"service-users">;

/** A new service user with its keys. */
export interface NewServiceUser {
  readonly serviceUser: ServiceUser;
  readonly keys: readonly KeyPair[];
}

/** What the import of service users stands on. */
export interface ServiceUserParts {
  readonly audit: Pick<AuditTrail, "recordOwn">;
  readonly clock: Clock;
  readonly choices: ImportChoices;
}

type Place = Pick<ServiceUser, "id" | "orgId">;

/** @see Importer */
export function createServiceUserImporter({
  audit,
  clock,
  choices,
}: ServiceUserParts): Importer<"service-users", NewServiceUser> {
  const toId = ({ id }: ServiceUserRecord) => toNamedId(["service-users", choices.source], id);

  function toKeys({ keys = [] }: ServiceUserRecord, { id, orgId }: Place): KeyPair[] {
    return keys.map(({ id: kid, title = "", public_jwk, created_at, expires_at }, at) => {
      try {
        return {
          id: kid,
          kind: "key",
          serviceUserId: id,
          orgId,
          title,
          publicJwk: readPublicJwk(public_jwk, kid),
          createdAt: toPast(created_at, clock.now()),
          ...(expires_at && { expiresAt: expires_at }),
        };
      } catch (error) {
        const { refusal } = refuseBy(error);
        throw new RefusedRecord("INVALID", `keys.${at}.public_jwk`, refusal.message);
      }
    });
  }

  /** Those that are not there yet. @throws RefusedRecord for one whose id another key has */
  function findNewKeys(keys: readonly KeyPair[], known: ReadonlyMap<string, Credential>): readonly KeyPair[] {
    return keys.filter((key, at) => {
      const before = known.get(key.id);
      if (before === undefined) return true;
      const isSame =
        before.kind === "key" &&
        before.serviceUserId === key.serviceUserId &&
        isDeepStrictEqual(before.publicJwk, key.publicJwk);
      if (!isSame) throw new RefusedRecord("KEY_TAKEN", `keys.${at}.id`, "is the id of another credential");
      return false;
    });
  }

  function toServiceUser(record: ServiceUserRecord, { id, orgId }: Place): ServiceUser {
    const { title = "", metadata = {}, role = leastRole, state = "enabled", created_at } = record;
    const now = clock.now();
    const times = { createdAt: toPast(created_at, now), updatedAt: now };
    return { id, orgId, title, metadata, role, state, superuser: false, ...times };
  }

  function judgeKnown(
    known: ServiceUser,
    record: ServiceUserRecord,
    keys: readonly KeyPair[],
  ): Verdict<NewServiceUser> {
    const { id, orgId } = known;
    if (known.superuser) throw new DomainError("SUPERUSER_PROTECTED");
    const { title, metadata, role, state } = record;
    const patch = present({ title, metadata, role });
    const changed = listChanged(known, patch);
    const isMoved = state !== undefined && state !== known.state;
    if (changed.length === 0 && !isMoved && keys.length === 0) return { outcome: "unchanged", id };
    return {
      outcome: "changed",
      id,
      async change(rules) {
        const { serviceUsers, caller } = rules;
        if (changed.length > 0) await serviceUsers.update(caller, { id, org: orgId }, patch);
        if (isMoved) await serviceUsers.setState(caller, { id, org: orgId }, state);
        if (keys.length > 0) await addKeys(rules, id, keys);
      },
    };
  }

  async function addKeys({ database }: Rules, id: string, keys: readonly KeyPair[]): Promise<void> {
    await database.transaction(async (tx) => {
      if ((await lockServiceUser(tx, id)) === undefined) throw new DomainError("SERVICE_USER_NOT_FOUND");
      await insertServiceUsers(tx, [], keys);
      await audit.recordOwn(tx, "command-line", ...keys.map(toKeyEvent));
    });
  }

  async function judge(reader: Reader, records: readonly ServiceUserRecord[]) {
    const findOrganization = await findOrganizations(reader, records, choices);
    const known = await findManyServiceUsers(reader, records.map(toId));
    const kids = records.flatMap(({ keys = [] }) => keys.map(({ id }) => id));
    const credentials = await findManyCredentials(reader, kids);
    return records.map((record): Verdict<NewServiceUser> => {
      try {
        const place = { id: toId(record), orgId: findOrganization(record).id };
        const before = known.get(place.id);
        if (before !== undefined && before.orgId !== place.orgId) {
          throw new RefusedRecord(
            "OTHER_ORGANIZATION",
            "org_id",
            "it is another organization's, and stays so",
          );
        }
        const keys = findNewKeys(toKeys(record, place), credentials);
        if (before !== undefined) return judgeKnown(before, record, keys);
        const made = { serviceUser: toServiceUser(record, place), keys };
        return { outcome: "created", id: place.id, made };
      } catch (error) {
        return refuseBy(error);
      }
    });
  }

  return {
    judge,
    keysOf: (record) => [toId(record), ...(record.keys ?? []).map(({ id }) => `key ${id}`)],
    async insert(tx, made) {
      const serviceUsers = made.map(({ serviceUser }) => serviceUser);
      const keys = made.flatMap((each) => each.keys);
      await insertServiceUsers(tx, serviceUsers, keys);
      const events = serviceUsers.map(({ id, orgId, title, role }) => {
        return { action: "service_user.create", target: id, orgId, details: { title, role } } as const;
      });
      await audit.recordOwn(tx, "command-line", ...events, ...keys.map(toKeyEvent));
    },
  };
}

function toKeyEvent({ id, orgId, serviceUserId, title, expiresAt }: KeyPair) {
  const ends = expiresAt && { expires_at: expiresAt.toISOString() };
  const details = { service_user_id: serviceUserId, title, ...ends };
  return { action: "key.create", target: id, orgId, details } as const;
}
