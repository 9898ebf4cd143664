import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { type Passkey as PasskeyMessage, PasskeySchema } from "@vestibule/proto/vestibule/v1/passkey_pb";
import { requireCaller } from "../principals/context.ts";
import type { Passkey } from "./passkey.ts";
import type { PasskeyService } from "./service.ts";

/** A passkey as answered: nothing of its key, nor of the id its authenticator uses. */
function toPasskeyMessage({ id, name, createdAt, lastUsedAt, isSynced }: Passkey): PasskeyMessage {
  return create(PasskeySchema, {
    id,
    name,
    createdAt: timestampFromDate(createdAt),
    synced: isSynced,
    ...(lastUsedAt && { lastUsedAt: timestampFromDate(lastUsedAt) }),
  });
}

/** The methods of AuthService by which people look after their passkeys. */
export function createPasskeyMethods(passkeys: Pick<PasskeyService, "list" | "rename" | "delete">) {
  return {
    async listPasskeys(_request, context) {
      const found = await passkeys.list(requireCaller(context));
      return { passkeys: found.map(toPasskeyMessage) };
    },
    async renamePasskey({ id, name }, context) {
      const passkey = await passkeys.rename(requireCaller(context), id, name);
      return { passkey: toPasskeyMessage(passkey) };
    },
    async deletePasskey({ id }, context) {
      await passkeys.delete(requireCaller(context), id);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
