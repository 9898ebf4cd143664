import type { Selectable } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import { jsonColumn, jsonTexts } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import { removeRows } from "../db/remove-rows.ts";
import type { AuditRecordRow } from "../db/schema.ts";
import type { AuditSubject } from "./audit.ts";
import type { AuditRecord } from "./record.ts";

/** How many rows the larger of the two prepared inserts takes: more cost no less per row. */
const rowsPerInsert = 32;

const columns = [
  "id",
  "at",
  "request_id",
  "actor_type",
  "actor_id",
  "credential_kind",
  "credential_id",
  "token_id",
  "action",
  "target_type",
  "target_id",
  "org_id",
  "result",
  "reason",
  "detail",
  "client_address",
  "user_agent",
  "details",
  "mailbox_hash",
] as const satisfies readonly (keyof AuditRecordRow)[];

const detailsColumn = jsonColumn("audit_records.details", jsonTexts);

type Value = string | number | null;

/** A record as its row takes it: the values, in the order of {@link columns}. */
export type RecordRow = readonly Value[];

/** An insert of `count` rows, whose parameters are their values, row after row. */
function prepareInsert(count: number) {
  return prepared((database, parameters: readonly Value[]) =>
    database
      .insertInto("audit_records")
      .values(Array.from({ length: count }, (_, row) => toNewRow(parameters, row * columns.length))),
  );
}

type NewRow = Pick<AuditRecordRow, (typeof columns)[number]>;

function toNewRow(parameters: readonly Value[], first: number): NewRow {
  return Object.fromEntries(
    columns.map((name, index) => [name, parameters[first + index]]),
  ) as unknown as NewRow;
}

const insertOne = prepareInsert(1);
const insertMany = prepareInsert(rowsPerInsert);

/** The row of a record: a list where the record is seven objects, for what waits to be stored. */
export function toRow(record: AuditRecord): RecordRow {
  return [
    record.id,
    record.at.getTime(),
    record.requestId ?? null,
    record.actor?.type ?? null,
    record.actor?.id ?? null,
    record.credentialKind ?? null,
    record.credentialId ?? null,
    record.tokenId ?? null,
    record.action,
    record.target?.type ?? null,
    record.target?.id ?? null,
    record.orgId ?? null,
    record.result,
    record.reason ?? null,
    record.detail ?? null,
    record.clientAddress ?? null,
    record.userAgent ?? null,
    Object.keys(record.details).length === 0 ? null : detailsColumn.encode(record.details),
    record.mailboxHash ?? null,
  ];
}

/** Stores records, in their order. */
export async function insertRecords(tx: Tx, records: readonly RecordRow[]): Promise<void> {
  const whole = records.length - (records.length % rowsPerInsert);
  for (let from = 0; from < whole; from += rowsPerInsert) {
    await insertMany.run(tx, records.slice(from, from + rowsPerInsert).flat());
  }
  for (const record of records.slice(whole)) await insertOne.run(tx, record);
}

function toSubject(type: string | null, id: string | null): AuditSubject | undefined {
  return type === null || id === null ? undefined : { type, id };
}

/** What is present of an object whose members may be null or undefined. */
function present<T extends object>(members: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const kept = Object.entries(members).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(kept) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** A stored row as what it says. */
export function toRecord(row: Selectable<AuditRecordRow>): AuditRecord {
  return {
    id: row.id,
    at: new Date(row.at),
    action: row.action,
    result: row.result,
    details: row.details === null ? {} : detailsColumn.decode(row.details),
    ...present({
      requestId: row.request_id,
      actor: toSubject(row.actor_type, row.actor_id),
      credentialKind: row.credential_kind,
      credentialId: row.credential_id,
      tokenId: row.token_id,
      target: toSubject(row.target_type, row.target_id),
      orgId: row.org_id,
      reason: row.reason,
      detail: row.detail,
      clientAddress: row.client_address,
      userAgent: row.user_agent,
      mailboxHash: row.mailbox_hash,
    }),
  };
}

const selectFirstAbout = prepared((database, { targetId }: { targetId: string }) =>
  database
    .selectFrom("audit_records")
    .selectAll()
    .where("target_id", "=", targetId)
    .orderBy("at")
    .orderBy("seq")
    .limit(1),
);

/** The oldest record about something, such as its making. */
export async function findFirstRecordAbout(
  reader: Reader,
  targetId: string,
): Promise<AuditRecord | undefined> {
  const row = await selectFirstAbout.first(reader, { targetId });
  return row && toRecord(row);
}

/** Removes up to `limit` of the oldest records from before `horizon`, and answers how many there were. */
export async function deleteRecordsBefore(tx: Tx, horizon: Date, limit: number): Promise<number> {
  return await removeRows(
    tx,
    {
      table: "audit_records",
      key: ["at", "seq"],
      where: (eb) => eb("at", "<", horizon.getTime()),
      orderBy: "at",
      leavesHeld: true,
    },
    limit,
  );
}

/** Where a record stands, and what is said in it besides. */
interface Said {
  readonly xact: number;
  readonly seq: number;
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
}

/** What of some actions is recorded about or by somebody, by ids and keyed hashes of mailboxes. */
export async function findSaid(
  tx: Tx,
  column: "target_id" | "actor_id" | "mailbox_hash",
  values: readonly string[],
  actions: readonly string[],
): Promise<readonly Said[]> {
  const rows = await tx
    .selectFrom("audit_records")
    .select(["xact", "seq", "action", "details"])
    .where(column, "in", [...values])
    .where("action", "in", [...actions])
    .where("details", "is not", null)
    .execute();
  return rows.map(({ details, ...row }) => ({ ...row, details: detailsColumn.decode(details ?? "{}") }));
}

/** Has a record say something else besides: the one thing that is ever changed of one. */
export async function updateSaid(tx: Tx, { xact, seq, details }: Said): Promise<void> {
  await tx
    .updateTable("audit_records")
    .set({ details: detailsColumn.encode(details) })
    .where("xact", "=", xact)
    .where("seq", "=", seq)
    .execute();
}
