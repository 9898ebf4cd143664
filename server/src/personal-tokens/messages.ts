import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type PersonalToken as PersonalTokenMessage,
  PersonalTokenSchema,
} from "@vestibule/proto/vestibule/v1/personal_token_pb";
import { toOptionalStruct, toOptionalTimestamp } from "../lib/proto.ts";
import type { PersonalToken } from "./personal-token.ts";
import { toScopeEntries } from "./scope.ts";

/** A token as answered. @param secret in clear, where it has just been made. */
export function toPersonalTokenMessage(token: PersonalToken, secret?: string): PersonalTokenMessage {
  const metadata = toOptionalStruct(token.metadata);
  const usedAt = toOptionalTimestamp(token.lastUsedAt);
  const regeneratedAt = toOptionalTimestamp(token.regeneratedAt);
  return create(PersonalTokenSchema, {
    id: token.id,
    title: token.title,
    userId: token.userId,
    orgId: token.orgId,
    ...(secret !== undefined && { token: secret }),
    scopes: toScopeEntries(token.scope).map(({ resourceIds, ...entry }) => ({
      ...entry,
      resourceIds: [...resourceIds],
    })),
    expiresAt: timestampFromDate(token.expiresAt),
    createdAt: timestampFromDate(token.createdAt),
    updatedAt: timestampFromDate(token.updatedAt),
    ...(usedAt && { usedAt }),
    ...(regeneratedAt && { regeneratedAt }),
    ...(metadata && { metadata }),
  });
}
