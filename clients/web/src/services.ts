/** Services to make clients of, as `vestibule.client(UserService)`. */
export { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
export { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
export { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
export { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
export { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
export { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
export { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
export { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
