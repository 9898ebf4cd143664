import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Invitation as InvitationMessage,
  InvitationSchema,
  InviterSchema,
  type Organization as OrganizationMessage,
  OrganizationSchema,
} from "@vestibule/proto/vestibule/v1/organization_pb";
import { toOptionalTimestamp } from "../lib/proto.ts";
import { type Invitation, stateOf } from "../organizations/invitation.ts";
import type { Role } from "../principals/principal.ts";

const frontierPrefix = "app_organization_";

/** The role that Frontier has a name for. */
export function fromFrontierRole(name: string): Role {
  return name.slice(frontierPrefix.length) as Role;
}

/** An invitation as answered. */
export function toInvitationMessage(invitation: Invitation, now: Date): InvitationMessage {
  const { type, id, name } = invitation.invitedBy;
  const sentAt = toOptionalTimestamp(invitation.sentAt);
  return create(InvitationSchema, {
    id: invitation.id,
    userId: invitation.email,
    orgId: invitation.orgId,
    createdAt: timestampFromDate(invitation.createdAt),
    expiresAt: timestampFromDate(invitation.expiresAt),
    roleIds: [`${frontierPrefix}${invitation.role}`],
    role: invitation.role,
    invitedBy: create(InviterSchema, { type: `app/${type}`, id, name }),
    ...(sentAt && { sentAt }),
    state: stateOf(invitation, now),
    projectIds: [...invitation.projectIds],
  });
}

/** The organizations of invitations, each once, as far as the invited are told of them. */
export function toOrganizationMessages(invitations: readonly Invitation[]): OrganizationMessage[] {
  const organizations = new Map(invitations.map(({ organization }) => [organization.id, organization]));
  return [...organizations.values()].map((each) => create(OrganizationSchema, each));
}
