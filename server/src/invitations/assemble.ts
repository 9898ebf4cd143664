import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import { createExpirySweep } from "../db/sweep.ts";
import type { Log } from "../lib/log.ts";
import type { Mailer } from "../mail/mailer.ts";
import { createInvitationMails, createSignUpMails, type MailPlace } from "./due-mails.ts";
import { createRemoveExpired } from "./expiry.ts";
import { createInvitationMethods, createSignUpMethods } from "./handler.ts";
import { deleteUncountedMails } from "./mail-store.ts";
import { InvitationMails } from "./mails.ts";
import { InvitationService, type InvitationServiceOptions } from "./service.ts";
import { SignUpService } from "./sign-up-service.ts";

/** What invitations stand on. */
export interface InvitationParts extends Omit<InvitationServiceOptions, "onDue">, MailPlace {
  readonly mailer: Mailer;
  readonly log: Log;
}

/** What others ask of invitations. */
export interface InvitationsRoom extends Room {
  readonly invitations: InvitationService;
}

/** Puts invitations together, into organizations and to sign up, and their mails. */
export function assembleInvitations(parts: InvitationParts): InvitationsRoom {
  const { database, clock, audit } = parts;
  const kinds = [createInvitationMails(parts), createSignUpMails(parts)];
  const mails = new InvitationMails({ ...parts, kinds });
  const onDue = () => mails.kick();
  const invitations = new InvitationService({ ...parts, onDue });
  const signUps = new SignUpService({ ...parts, onDue });
  return {
    invitations,
    services: [
      registerService(OrganizationService, createInvitationMethods(invitations, clock)),
      registerService(UserService, createSignUpMethods(signUps)),
    ],
    sweeps: [
      {
        kind: "invitations",
        run: createExpirySweep(database, clock, createRemoveExpired(audit), deleteUncountedMails),
      },
    ],
    // What another process, or an earlier one, has left.
    start: onDue,
    chores: [{ name: "mails of invitations", run: () => mails.sendDue() }],
    closing: [{ name: "mails of invitations", moment: "work", ms: 2_000, run: () => mails.close() }],
  };
}
