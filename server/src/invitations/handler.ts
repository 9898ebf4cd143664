import type { ServiceImpl } from "@connectrpc/connect";
import type { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import type { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Clock } from "../lib/clock.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import { requireCaller } from "../principals/context.ts";
import type { Role } from "../principals/principal.ts";
import { fromFrontierRole, toInvitationMessage, toOrganizationMessages } from "./messages.ts";
import type { InvitationService } from "./service.ts";
import type { SignUpService } from "./sign-up-service.ts";

/** The invitations of `vestibule.v1.OrganizationService`. */
export function createInvitationMethods(invitations: InvitationService, clock: Clock) {
  const toMessage = (invitation: Parameters<typeof toInvitationMessage>[0]) =>
    toInvitationMessage(invitation, clock.now());
  return {
    async createOrganizationInvitation(request, context) {
      const [frontierRole] = request.roleIds;
      const named = frontierRole === undefined ? request.role : fromFrontierRole(frontierRole);
      const invited = await invitations.create(requireCaller(context), {
        org: request.orgId,
        emails: request.userIds,
        role: (named || "viewer") as Role,
        projects: request.projectIds,
      });
      return { invitations: invited.map(toMessage) };
    },
    async listOrganizationInvitations({ orgId, userId, pageSize, pageToken }, context) {
      const page = { size: pageSize || defaultPageSize, token: pageToken };
      const asked = { org: orgId, email: userId };
      const { items, nextPageToken } = await invitations.list(requireCaller(context), asked, page);
      return { invitations: items.map(toMessage), nextPageToken };
    },
    async getOrganizationInvitation({ id, orgId }, context) {
      return { invitation: toMessage(await invitations.get(requireCaller(context), { id, org: orgId })) };
    },
    async deleteOrganizationInvitation({ id, orgId }, context) {
      await invitations.delete(requireCaller(context), { id, org: orgId });
      return {};
    },
    async listCurrentUserInvitations(_request, context) {
      const own = await invitations.listForAddress(requireCaller(context));
      return { invitations: own.map(toMessage), orgs: toOrganizationMessages(own) };
    },
    async listUserInvitations({ id }, context) {
      const theirs = await invitations.listForUser(requireCaller(context), id);
      return { invitations: theirs.map(toMessage) };
    },
    async acceptOrganizationInvitation({ id, orgId }, context) {
      await invitations.accept(requireCaller(context), { id, org: orgId });
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof OrganizationService>>;
}

/** The invitations of `vestibule.v1.UserService`. */
export function createSignUpMethods(signUps: SignUpService) {
  return {
    async inviteUser({ email, sendMail }, context) {
      await signUps.invite(requireCaller(context), email, sendMail);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof UserService>>;
}
