import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import type { ServiceUserRequestBody } from "@vestibule/proto/vestibule/v1/service_user_pb";
import type { ServiceUserService as ServiceUserServiceSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { fromOptionalTimestamp } from "../lib/proto.ts";
import { requireCaller } from "../principals/context.ts";
import type { Role } from "../principals/principal.ts";
import type { ServiceUserRef } from "./access.ts";
import {
  type CredentialDraft,
  type CredentialRef,
  type CredentialService,
  overlapLimits,
} from "./credential-service.ts";
import * as messages from "./messages.ts";
import type { ServiceUserPatch, ServiceUserService } from "./service.ts";
import type { ServiceUser } from "./service-user.ts";
import type { UsageService } from "./usage-service.ts";

/** How many days of usage are told of when none are asked for. */
const defaultUsageDays = 30;

/** The rules behind the handler. */
export interface ServiceUserHandlerOptions {
  readonly serviceUsers: ServiceUserService;
  readonly credentials: CredentialService;
  readonly usage: UsageService;
}

function toRef({ id, orgId }: { id: string; orgId: string }): ServiceUserRef {
  return { id, org: orgId };
}

function toCredentialRef(request: { id: string; orgId: string }, credentialId: string): CredentialRef {
  return { ...toRef(request), credentialId };
}

type CredentialRequest = { title: string; expiresAt?: Parameters<typeof fromOptionalTimestamp>[0] };

function toDraft({ title, expiresAt: sent }: CredentialRequest): CredentialDraft {
  const expiresAt = fromOptionalTimestamp(sent);
  return { title, ...(expiresAt && { expiresAt }) };
}

function toPatch(body: ServiceUserRequestBody | undefined): ServiceUserPatch {
  return {
    ...(body?.title === undefined ? {} : { title: body.title }),
    ...(body?.metadata && { metadata: body.metadata }),
    ...(body?.role && { role: body.role as Role }),
  };
}

/** `vestibule.v1.ServiceUserService` over the rules of this room. */
export function createServiceUserHandler(
  options: ServiceUserHandlerOptions,
): ServiceImpl<typeof ServiceUserServiceSchema> {
  return {
    ...createServiceUserMethods(options.serviceUsers),
    ...createSecretMethods(options.credentials),
    ...createKeyMethods(options.credentials),
    ...createTokenMethods(options.credentials),
    async getServiceUserUsage(request, context) {
      const days = request.days || defaultUsageDays;
      return messages.toUsageMessage(await options.usage.get(requireCaller(context), toRef(request), days));
    },
  };
}

/** Service users in the shape that Frontier's screens know. */
export function createFrontierMethods(service: ServiceUserService) {
  return {
    async listOrganizationServiceUsers({ id }, context) {
      const { items } = await service.list(requireCaller(context), id);
      return { serviceusers: items.map(messages.toServiceUserMessage) };
    },
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}

type Methods<Names extends keyof ServiceImpl<typeof ServiceUserServiceSchema>> = Pick<
  ServiceImpl<typeof ServiceUserServiceSchema>,
  Names
>;

function createServiceUserMethods(
  service: ServiceUserService,
): Methods<
  | "createServiceUser"
  | "getServiceUser"
  | "listServiceUsers"
  | "updateServiceUser"
  | "enableServiceUser"
  | "disableServiceUser"
  | "deleteServiceUser"
> {
  return {
    async createServiceUser(request, context) {
      const draft = { title: "", metadata: {}, role: "viewer", ...toPatch(request.body) } as const;
      const serviceUser = await service.create(requireCaller(context), request.orgId, draft);
      return { serviceuser: messages.toServiceUserMessage(serviceUser) };
    },
    async getServiceUser(request, context) {
      const serviceUser = await service.get(requireCaller(context), toRef(request));
      return { serviceuser: messages.toServiceUserMessage(serviceUser) };
    },
    async listServiceUsers(request, context) {
      const { items, nextPageToken } = await service.list(requireCaller(context), request.orgId, {
        ...(request.state !== "" && { state: request.state as ServiceUser["state"] }),
        ...(request.pageSize > 0 && { size: request.pageSize }),
        token: request.pageToken,
      });
      return { serviceusers: items.map(messages.toServiceUserMessage), nextPageToken };
    },
    async updateServiceUser(request, context) {
      const patch = toPatch(request.body);
      const serviceUser = await service.update(requireCaller(context), toRef(request), patch);
      return { serviceuser: messages.toServiceUserMessage(serviceUser) };
    },
    async enableServiceUser(request, context) {
      const serviceUser = await service.setState(requireCaller(context), toRef(request), "enabled");
      return { serviceuser: messages.toServiceUserMessage(serviceUser) };
    },
    async disableServiceUser(request, context) {
      const serviceUser = await service.setState(requireCaller(context), toRef(request), "disabled");
      return { serviceuser: messages.toServiceUserMessage(serviceUser) };
    },
    async deleteServiceUser(request, context) {
      await service.delete(requireCaller(context), toRef(request));
      return {};
    },
  };
}

function createSecretMethods(
  service: CredentialService,
): Methods<
  | "createServiceUserCredential"
  | "listServiceUserCredentials"
  | "deleteServiceUserCredential"
  | "rotateServiceUserCredential"
> {
  return {
    async createServiceUserCredential(request, context) {
      context.responseHeader.set("cache-control", "no-store");
      const made = await service.createSecret(requireCaller(context), toRef(request), toDraft(request));
      return { secret: messages.toSecretMessage(made.record, made.secret) };
    },
    async listServiceUserCredentials(request, context) {
      const secrets = await service.list(requireCaller(context), toRef(request), "secret");
      return { secrets: secrets.map((record) => messages.toSecretMessage(record)) };
    },
    async deleteServiceUserCredential(request, context) {
      const ref = toCredentialRef(request, request.secretId);
      await service.delete(requireCaller(context), ref, "secret");
      return {};
    },
    async rotateServiceUserCredential(request, context) {
      context.responseHeader.set("cache-control", "no-store");
      const ref = toCredentialRef(request, request.secretId);
      const expiresAt = fromOptionalTimestamp(request.expiresAt);
      const { record, secret, replaced } = await service.rotateSecret(requireCaller(context), ref, {
        overlapSeconds: request.overlapSeconds ?? overlapLimits.defaultSeconds,
        ...(expiresAt && { expiresAt }),
      });
      return {
        secret: messages.toSecretMessage(record, secret),
        replaced: messages.toSecretMessage(replaced),
      };
    },
  };
}

function createKeyMethods(
  service: CredentialService,
): Methods<"createServiceUserJWK" | "listServiceUserJWKs" | "getServiceUserJWK" | "deleteServiceUserJWK"> {
  return {
    async createServiceUserJWK(request, context) {
      context.responseHeader.set("cache-control", "no-store");
      const { record, privateKeyPem } = await service.createKeyPair(requireCaller(context), toRef(request), {
        ...toDraft(request),
        ...(request.publicJwk && { publicJwk: request.publicJwk }),
      });
      return { key: messages.toKeyCredentialMessage(record, privateKeyPem) };
    },
    async listServiceUserJWKs(request, context) {
      const keys = await service.list(requireCaller(context), toRef(request), "key");
      return { keys: keys.map(messages.toJwkMessage) };
    },
    async getServiceUserJWK(request, context) {
      const ref = toCredentialRef(request, request.keyId);
      const { publicJwk } = await service.getKeyPair(requireCaller(context), ref);
      return { keys: [{ ...publicJwk }] };
    },
    async deleteServiceUserJWK(request, context) {
      await service.delete(requireCaller(context), toCredentialRef(request, request.keyId), "key");
      return {};
    },
  };
}

function createTokenMethods(
  service: CredentialService,
): Methods<"createServiceUserToken" | "listServiceUserTokens" | "deleteServiceUserToken"> {
  return {
    async createServiceUserToken(request, context) {
      context.responseHeader.set("cache-control", "no-store");
      const made = await service.createToken(requireCaller(context), toRef(request), toDraft(request));
      return { token: messages.toTokenMessage(made.record, made.secret) };
    },
    async listServiceUserTokens(request, context) {
      const tokens = await service.list(requireCaller(context), toRef(request), "token");
      return { tokens: tokens.map((record) => messages.toTokenMessage(record)) };
    },
    async deleteServiceUserToken(request, context) {
      await service.delete(requireCaller(context), toCredentialRef(request, request.tokenId), "token");
      return {};
    },
  };
}
