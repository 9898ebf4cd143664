import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Invitation as InvitationMessage,
  InvitationSchema,
  InviterSchema,
  type Organization as OrganizationMessage,
  OrganizationSchema,
} from "@vestibule/proto/vestibule/v1/organization_pb";
import { invalidField } from "../lib/invalid-request.ts";
import { toOptionalTimestamp } from "../lib/proto.ts";
import { findFrontierRole, toFrontierRole } from "../organizations/frontier-roles.ts";
import { type Invitation, stateOf } from "../organizations/invitation.ts";
import type { Role } from "../principals/principal.ts";

/** The role that Frontier has an id and a name for. @throws DomainError INVALID_REQUEST */
export function fromFrontierRole(idOrName: string): Role {
  const found = findFrontierRole("app/organization", idOrName);
  if (found === undefined)
    throw invalidField("role_ids[0]", "must be the id or name of an organization's role");
  return found.role;
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
    roleIds: [toFrontierRole(invitation.role).id],
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
