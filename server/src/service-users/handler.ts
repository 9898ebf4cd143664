import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type SecretCredential,
  SecretCredentialSchema,
  type ServiceUser as ServiceUserMessage,
  ServiceUserSchema,
} from "@vestibule/proto/vestibule/v1/service_user_pb";
import type { ServiceUserService as ServiceUserServiceSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { fromOptionalTimestamp, toOptionalStruct, toOptionalTimestamp } from "../lib/proto.ts";
import { requireCaller } from "../principals/context.ts";
import type { Role } from "../principals/principal.ts";
import type { ServiceUserService } from "./service.ts";
import type { ServiceUser, ServiceUserSecret } from "./service-user.ts";

/** A service user as answered. */
export function toServiceUserMessage(serviceUser: ServiceUser): ServiceUserMessage {
  const metadata = toOptionalStruct(serviceUser.metadata);
  const lastUsedAt = toOptionalTimestamp(serviceUser.lastUsedAt);
  return create(ServiceUserSchema, {
    id: serviceUser.id,
    title: serviceUser.title,
    createdAt: timestampFromDate(serviceUser.createdAt),
    updatedAt: timestampFromDate(serviceUser.updatedAt),
    state: serviceUser.state,
    orgId: serviceUser.orgId,
    role: serviceUser.role,
    ...(metadata && { metadata }),
    ...(lastUsedAt && { lastUsedAt }),
  });
}

function toSecretMessage(record: ServiceUserSecret, secret = ""): SecretCredential {
  const init: MessageInitShape<typeof SecretCredentialSchema> = {
    id: record.id,
    title: record.title,
    secret,
    createdAt: timestampFromDate(record.createdAt),
  };
  const expiresAt = toOptionalTimestamp(record.expiresAt);
  const lastUsedAt = toOptionalTimestamp(record.lastUsedAt);
  return create(SecretCredentialSchema, {
    ...init,
    ...(expiresAt && { expiresAt }),
    ...(lastUsedAt && { lastUsedAt }),
  });
}

/** `vestibule.v1.ServiceUserService` over the rules of this room. */
export function createServiceUserHandler(
  service: ServiceUserService,
): ServiceImpl<typeof ServiceUserServiceSchema> {
  return {
    async createServiceUser(request, context) {
      const serviceUser = await service.create(requireCaller(context), request.orgId, {
        title: request.body?.title ?? "",
        metadata: request.body?.metadata ?? {},
        role: (request.body?.role || "viewer") as Role,
      });
      return { serviceuser: toServiceUserMessage(serviceUser) };
    },
    async getServiceUser(request, context) {
      const ref = { id: request.id, org: request.orgId };
      return { serviceuser: toServiceUserMessage(await service.get(requireCaller(context), ref)) };
    },
    async listServiceUsers(request, context) {
      const state = request.state === "" ? undefined : (request.state as ServiceUser["state"]);
      const found = await service.list(requireCaller(context), request.orgId, state);
      return { serviceusers: found.map(toServiceUserMessage) };
    },
    async deleteServiceUser(request, context) {
      await service.delete(requireCaller(context), { id: request.id, org: request.orgId });
      return {};
    },
    async createServiceUserCredential(request, context) {
      const ref = { id: request.id, org: request.orgId };
      const expiresAt = fromOptionalTimestamp(request.expiresAt);
      const draft = { title: request.title, ...(expiresAt && { expiresAt }) };
      const { record, secret } = await service.createSecret(requireCaller(context), ref, draft);
      return { secret: toSecretMessage(record, secret) };
    },
    async listServiceUserCredentials(request, context) {
      const ref = { id: request.id, org: request.orgId };
      const secrets = await service.listSecrets(requireCaller(context), ref);
      return { secrets: secrets.map((record) => toSecretMessage(record)) };
    },
    async deleteServiceUserCredential(request, context) {
      const ref = { id: request.id, org: request.orgId };
      await service.deleteSecret(requireCaller(context), ref, request.secretId);
      return {};
    },
  };
}
