import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { type Identity as IdentityMessage, IdentitySchema } from "@vestibule/proto/vestibule/v1/identity_pb";
import { requireCaller } from "../principals/context.ts";
import type { IdentityService } from "./identity-service.ts";
import type { Identity } from "./identity-store.ts";

function toIdentityMessage({ strategy, issuer, subject, email, createdAt }: Identity): IdentityMessage {
  return create(IdentitySchema, {
    strategyName: strategy,
    issuer,
    subject,
    email,
    createdAt: timestampFromDate(createdAt),
  });
}

/** The methods of AuthService by which people look after their identities at providers. */
export function createIdentityMethods(identities: Pick<IdentityService, "list" | "unlink">) {
  return {
    async listIdentities(_request, context) {
      const found = await identities.list(requireCaller(context));
      return { identities: found.map(toIdentityMessage) };
    },
    async unlinkIdentity({ issuer, subject }, context) {
      await identities.unlink(requireCaller(context), { issuer, subject });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
