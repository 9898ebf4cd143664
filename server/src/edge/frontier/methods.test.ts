import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { PersonalTokenService } from "@vestibule/proto/vestibule/v1/personal_token_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { expect, it } from "vitest";
import { listFrontierMethods } from "./methods.ts";

it("lists what Frontier's clients know, and nothing that is ours alone", () => {
  const services = [
    AuthService,
    ServiceUserService,
    OrganizationService,
    FrontierService,
    PersonalTokenService,
    UserService,
  ];
  const methods = listFrontierMethods(services.map((service) => ({ service, implementation: {} })));
  const namesOf = (wanted: string) =>
    methods.flatMap(({ service, method }) => (service === wanted ? [method.name] : [])).toSorted();
  expect(namesOf("AdminService")).toEqual(["ListUserSessions", "RevokeUserSession"]);
  expect(namesOf("FrontierService")).toEqual(
    [
      "ListAuthStrategies",
      "Authenticate",
      "AuthCallback",
      "AuthToken",
      "AuthLogout",
      "GetJWKs",
      "GetCurrentUser",
      "UpdateCurrentUser",
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
      "GetProject",
      "UpdateProject",
      "GetOrganization",
      "UpdateOrganization",
      "CheckOrganizationDelete",
      "CreateOrganizationInvitation",
      "ListOrganizationInvitations",
      "GetOrganizationInvitation",
      "DeleteOrganizationInvitation",
      "ListCurrentUserInvitations",
      "ListUserInvitations",
      "AcceptOrganizationInvitation",
      "CreateCurrentUserPAT",
      "ListRolesForPAT",
      "SearchCurrentUserPATs",
      "GetCurrentUserPAT",
      "UpdateCurrentUserPAT",
      "RegenerateCurrentUserPAT",
      "DeleteCurrentUserPAT",
      "CheckCurrentUserPATTitle",
      "CreateUser",
      "UpdateUser",
      "GetUser",
      "EnableUser",
      "DisableUser",
      "DeleteUser",
      "DeleteOrganization",
      ...FrontierService.methods.map(({ name }) => name),
    ].toSorted(),
  );
});
