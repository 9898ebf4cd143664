/** The nouns of this room as `vestibule.v1` messages. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type CredentialUsage as CredentialUsageMessage,
  CredentialUsageSchema,
  type KeyCredential,
  KeyCredentialSchema,
  type SecretCredential,
  SecretCredentialSchema,
  type ServiceUserJWK,
  ServiceUserJWKSchema,
  type ServiceUser as ServiceUserMessage,
  ServiceUserSchema,
  type ServiceUserToken,
  ServiceUserTokenSchema,
} from "@vestibule/proto/vestibule/v1/service_user_pb";
import type { GetServiceUserUsageResponse } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { GetServiceUserUsageResponseSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { toOptionalStruct, toOptionalTimestamp } from "../lib/proto.ts";
import type { PublicJwk } from "../signatures/public-jwk.ts";
import type { ClientSecret, Credential, KeyPair, OpaqueToken } from "./credential.ts";
import type { ServiceUser } from "./service-user.ts";
import type { CredentialUsage, DayUsage, ServiceUserUsage } from "./usage-service.ts";

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

/** Instants that every kind of credential is answered with. */
function toInstants(credential: Credential) {
  const expiresAt = toOptionalTimestamp(credential.expiresAt);
  const lastUsedAt = toOptionalTimestamp(credential.lastUsedAt);
  return {
    createdAt: timestampFromDate(credential.createdAt),
    ...(expiresAt && { expiresAt }),
    ...(lastUsedAt && { lastUsedAt }),
  };
}

/** A client secret as answered; with the secret itself only by the call that made it. */
export function toSecretMessage(record: ClientSecret, secret = ""): SecretCredential {
  const { id, title } = record;
  return create(SecretCredentialSchema, { id, title, secret, ...toInstants(record) });
}

/** An opaque token as answered; with the token itself only by the call that made it. */
export function toTokenMessage(record: OpaqueToken, token = ""): ServiceUserToken {
  const { id, title } = record;
  return create(ServiceUserTokenSchema, { id, title, token, ...toInstants(record) });
}

const keyTypes: Record<PublicJwk["kty"], string> = { RSA: "sv_rsa", EC: "sv_ec", OKP: "sv_okp" };

/** A key pair as answered by the call that made or registered it. */
export function toKeyCredentialMessage(record: KeyPair, privateKey = ""): KeyCredential {
  const { id: kid, serviceUserId: principalId, publicJwk } = record;
  return create(KeyCredentialSchema, { type: keyTypes[publicJwk.kty], kid, principalId, privateKey });
}

/** The public half of a key pair as answered. */
export function toJwkMessage(record: KeyPair): ServiceUserJWK {
  const { id, title, serviceUserId: principalId, publicJwk } = record;
  const publicKey = JSON.stringify({ keys: [publicJwk] });
  return create(ServiceUserJWKSchema, { id, title, principalId, publicKey, ...toInstants(record) });
}

const largestCount = 2 ** 31 - 1;

function toDayMessage({ day, calls }: DayUsage) {
  return { day, calls: Math.min(calls, largestCount) };
}

function toCredentialUsageMessage(usage: CredentialUsage): CredentialUsageMessage {
  const { credentialId, credential, days } = usage;
  const calls = days.reduce((sum, day) => sum + day.calls, 0);
  return create(CredentialUsageSchema, {
    credentialId,
    calls: Math.min(calls, largestCount),
    days: days.map(toDayMessage),
    ...(credential && { kind: credential.kind, title: credential.title, ...toInstants(credential) }),
  });
}

/** The usage of a service user as answered. */
export function toUsageMessage(usage: ServiceUserUsage): GetServiceUserUsageResponse {
  const lastUsedAt = toOptionalTimestamp(usage.lastUsedAt);
  return create(GetServiceUserUsageResponseSchema, {
    days: usage.days.map(toDayMessage),
    credentials: usage.credentials.map(toCredentialUsageMessage),
    ...(lastUsedAt && { lastUsedAt }),
  });
}
