import type { DescMethod } from "@bufbuild/protobuf";
import type { ServiceRegistration } from "../../assembly/services.ts";

/**
 * Names of Frontier's methods that we answer. What is ours alone stays under
 * our own name, and what Frontier has in another shape is not pretended to.
 */
const frontierNames = new Set([
  "ListAuthStrategies",
  "Authenticate",
  "AuthCallback",
  "AuthToken",
  "AuthLogout",
  "GetJWKs",
  "GetCurrentUser",
  "ListSessions",
  "RevokeSession",
  "PingUserSession",
  "CreateServiceUser",
  "GetServiceUser",
  "ListServiceUsers",
  "DeleteServiceUser",
  "CreateServiceUserCredential",
  "ListServiceUserCredentials",
  "DeleteServiceUserCredential",
  "CreateServiceUserJWK",
  "ListServiceUserJWKs",
  "GetServiceUserJWK",
  "DeleteServiceUserJWK",
  "CreateServiceUserToken",
  "ListServiceUserTokens",
  "DeleteServiceUserToken",
  "CreateOrganization",
  "GetOrganization",
  "ListOrganizationsByCurrentUser",
  "ListCurrentUserGroups",
]);

/** The methods of our services that Frontier's clients know, for its alias. */
export function listFrontierMethods(registrations: readonly ServiceRegistration[]): DescMethod[] {
  const methods = registrations.flatMap(({ service }) => service.methods);
  return methods.filter((method) => frontierNames.has(method.name));
}
