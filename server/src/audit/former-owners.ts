/**
 * Whose a refused credential was that is no more.
 *
 * Its row is gone, but its making may still be on record, and with it the
 * service user and the organization that have to hear of the refusal.
 */
import type { Reader } from "../db/database.ts";
import { type AuditRecord, toLongText } from "./record.ts";
import { findFirstRecordAbout } from "./store.ts";

/** What is told of each kind: how its actions begin, as which kind it is presented, what it is called. */
const kinds = [
  { noun: "credential", presentedAs: "client_secret", name: "client secret" },
  { noun: "key", presentedAs: "key_pair", name: "key pair" },
  { noun: "token", presentedAs: "opaque_token", name: "opaque token" },
] as const;

/**
 * Names the former owner in a refusal of a credential that is not there; a
 * refusal of one that nobody ever had comes back as it is. One look at an index.
 */
export async function nameFormerOwner(reader: Reader, refusal: AuditRecord): Promise<AuditRecord> {
  const { credentialId } = refusal;
  const first = credentialId === undefined ? undefined : await findFirstRecordAbout(reader, credentialId);
  const [noun] = first?.action.split(".") ?? [];
  const kind = kinds.find((each) => each.noun === noun);
  const { service_user_id: serviceUserId, title = "" } = first?.details ?? {};
  if (first === undefined || kind === undefined || serviceUserId === undefined) return refusal;
  const what = kind.presentedAs === refusal.credentialKind ? "deleted" : "of another kind";
  const detail = `${what}: ${kind.name} ${credentialId} ${JSON.stringify(title)} of service user ${serviceUserId}`;
  return {
    ...refusal,
    actor: { type: "serviceuser", id: serviceUserId },
    orgId: first.orgId ?? refusal.orgId,
    detail: toLongText(detail),
  };
}
