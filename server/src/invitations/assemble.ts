import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { createRemoveExpired } from "./expiry.ts";
import { createInvitationMethods } from "./handler.ts";
import { deleteUncountedMails } from "./mail-store.ts";
import { InvitationService, type InvitationServiceOptions } from "./service.ts";

/** What invitations stand on. */
export interface InvitationParts extends Omit<InvitationServiceOptions, "onDue"> {}

/** What others ask of invitations. */
export interface InvitationsRoom extends Room {
  readonly invitations: InvitationService;
}

/** Puts invitations together. */
export function assembleInvitations(parts: InvitationParts): InvitationsRoom {
  const { database, clock, audit } = parts;
  const invitations = new InvitationService({ ...parts, onDue: () => {} });
  return {
    invitations,
    services: [registerService(OrganizationService, createInvitationMethods(invitations, clock))],
    sweeps: [
      {
        kind: "invitations",
        run: createExpirySweep(database, clock, createRemoveExpired(audit), deleteUncountedMails),
      },
    ],
  };
}
