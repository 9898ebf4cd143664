import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type AuditRecord as AuditRecordMessage,
  AuditRecordSchema,
} from "@vestibule/proto/vestibule/v1/audit_pb";
import type { AuditService as AuditServiceSchema } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { defaultPageSize } from "../lib/page-token.ts";
import { fromOptionalTimestamp } from "../lib/proto.ts";
import { requirePrincipal } from "../principals/context.ts";
import type { Principal } from "../principals/principal.ts";
import type { AuditRecord } from "./record.ts";
import type { AuditService, RecordQuery } from "./service.ts";

/** A record as answered. */
function toAuditRecordMessage(record: AuditRecord): AuditRecordMessage {
  const { actor, target } = record;
  return create(AuditRecordSchema, {
    id: record.id,
    occurredAt: timestampFromDate(record.at),
    credentialKind: record.credentialKind ?? "",
    credentialId: record.credentialId ?? "",
    tokenId: record.tokenId ?? "",
    action: record.action,
    orgId: record.orgId ?? "",
    result: record.result,
    reason: record.reason ?? "",
    detail: record.detail ?? "",
    requestId: record.requestId ?? "",
    mailboxHash: record.mailboxHash ?? "",
    clientAddress: record.clientAddress ?? "",
    userAgent: record.userAgent ?? "",
    details: { ...record.details },
    ...(actor && { actor: { ...actor } }),
    ...(target && { target: { ...target } }),
  });
}

/** The filters that both requests have. */
type FilterFields = {
  readonly [name in "orgId" | "actorId" | "targetId" | "action" | "result" | "requestId"]: string;
};

function toQuery({ orgId, actorId, targetId, action, result, requestId }: FilterFields): RecordQuery {
  return { org: orgId, actorId, targetId, action, result, requestId };
}

/** Parts that the methods of the audit trail stand on. */
export interface AuditHandlerOptions {
  readonly service: AuditService;
  /** Proves the caller of a stream anew from what its request carried. */
  readonly authenticate: (header: Headers) => Promise<Principal>;
  /** Aborts when the server begins to stop. */
  readonly stopping: AbortSignal;
}

/** `vestibule.v1.AuditService`. */
export function createAuditHandler(options: AuditHandlerOptions): ServiceImpl<typeof AuditServiceSchema> {
  const { service, authenticate, stopping } = options;

  function endOf(context: HandlerContext): AbortSignal {
    return AbortSignal.any([context.signal, stopping]);
  }

  return {
    async listAuditRecords(request, context) {
      const startAt = fromOptionalTimestamp(request.startAt);
      const endAt = fromOptionalTimestamp(request.endAt);
      const { items, nextPageToken } = await service.list(
        requirePrincipal(context),
        { ...toQuery(request), mailbox: request.mailbox, userId: request.userId },
        { ...(startAt && { startAt }), ...(endAt && { endAt }) },
        { size: request.pageSize || defaultPageSize, token: request.pageToken },
      );
      return { records: items.map(toAuditRecordMessage), nextPageToken };
    },
    async *tailAuditRecords(request, context) {
      const events = service.tail(requirePrincipal(context), toQuery(request), {
        resumeToken: request.resumeToken,
        authenticate: () => authenticate(context.requestHeader),
        signal: endOf(context),
      });
      for await (const { record, resumeToken } of events) {
        yield { resumeToken, ...(record && { record: toAuditRecordMessage(record) }) };
      }
    },
  };
}
