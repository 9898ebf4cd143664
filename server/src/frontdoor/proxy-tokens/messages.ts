import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type ProxyToken as ProxyTokenMessage,
  ProxyTokenSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_pb";
import { toOptionalTimestamp } from "../../lib/proto.ts";
import type { ProxyToken } from "./proxy-token.ts";

/** @param token in clear, where it has just been made. */
export function toProxyTokenMessage(record: ProxyToken, token?: string): ProxyTokenMessage {
  const lastUsedAt = toOptionalTimestamp(record.lastUsedAt);
  return create(ProxyTokenSchema, {
    id: record.id,
    title: record.title,
    ...(token !== undefined && { token }),
    createdAt: timestampFromDate(record.createdAt),
    ...(lastUsedAt && { lastUsedAt }),
  });
}
