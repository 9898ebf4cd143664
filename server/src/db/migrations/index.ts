import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import * as auditRecords from "./20261122-audit-records.ts";
import * as foundation from "./20261122-foundation.ts";
import * as organizations from "./20261122-organizations.ts";
import * as rateCounts from "./20261122-rate-counts.ts";
import * as tokenState from "./20261122-token-state.ts";
import * as passkeys from "./20261123-passkeys.ts";
import * as signIn from "./20261123-sign-in.ts";
import * as frontdoor from "./20261124-frontdoor.ts";
import * as auditActions from "./20261127-audit-actions.ts";
import * as deletedFrontdoors from "./20261127-deleted-frontdoors.ts";
import * as apiKeyUses from "./20261129-api-key-uses.ts";
import * as frontendSettings from "./20261129-frontend-settings.ts";
import * as knownClients from "./20261129-known-clients.ts";
import * as organizationFounders from "./20261129-organization-founders.ts";
import * as organizationsMade from "./20261129-organizations-made.ts";
import * as proxyTokens from "./20261129-proxy-tokens.ts";
import * as restoredOrder from "./20261129-restored-order.ts";
import * as sentCodes from "./20261129-sent-codes.ts";
import * as sessionCompanions from "./20261129-session-companions.ts";
import * as auditMailboxes from "./20261130-audit-mailboxes.ts";
import * as avatars from "./20261130-avatars.ts";
import * as disabledUsers from "./20261130-disabled-users.ts";
import * as emailUndos from "./20261130-email-undos.ts";
import * as gateConfirmations from "./20261130-gate-confirmations.ts";
import * as gateSessions from "./20261130-gate-sessions.ts";
import * as invitationMailsDue from "./20261130-invitation-mails-due.ts";
import * as knownBrowsers from "./20261130-known-browsers.ts";
import * as lastBackup from "./20261130-last-backup.ts";
import * as moves from "./20261130-moves.ts";
import * as names from "./20261130-names.ts";
import * as oldestPrograms from "./20261130-oldest-programs.ts";
import * as organizationInvitations from "./20261130-organization-invitations.ts";
import * as passkeyBackup from "./20261130-passkey-backup.ts";
import * as personalTokens from "./20261130-personal-tokens.ts";
import * as search from "./20261130-search.ts";
import * as searchBacklog from "./20261130-search-backlog.ts";
import * as sessionAuthentication from "./20261130-session-authentication.ts";
import * as userPreferences from "./20261130-user-preferences.ts";

/** One step of the schema. Frozen once it has been merged: mend it with another. */
export interface SchemaMigration {
  /** UTC date and time, then what it brings. Never changed. */
  readonly name: string;
  /**
   * Version of the oldest program that may serve beside it without knowing it:
   * the release before, or an older one. Null where none may, which wants every
   * server stopped. docs/upgrading.md has what each may do.
   */
  readonly beside: string | null;
  up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void>;
}

/** Those of 0.1.0: no program is older. */
const first: readonly Omit<SchemaMigration, "beside">[] = [
  { name: "20261122T000000_foundation", up: foundation.up },
  { name: "20261122T000100_audit_records", up: auditRecords.up },
  { name: "20261122T000200_rate_counts", up: rateCounts.up },
  { name: "20261122T010000_organizations", up: organizations.up },
  { name: "20261122T020000_token_state", up: tokenState.up },
  { name: "20261123T000000_sign_in", up: signIn.up },
  { name: "20261123T010000_passkeys", up: passkeys.up },
  { name: "20261124T000000_frontdoor", up: frontdoor.up },
  { name: "20261127T000000_deleted_frontdoors", up: deletedFrontdoors.up },
  { name: "20261127T010000_audit_actions", up: auditActions.up },
  { name: "20261129T191003_sent_codes", up: sentCodes.up },
  { name: "20261129T191300_session_companions", up: sessionCompanions.up },
  { name: "20261129T194300_organization_founders", up: organizationFounders.up },
  { name: "20261129T195900_known_clients", up: knownClients.up },
  { name: "20261129T200100_restored_order", up: restoredOrder.up },
  { name: "20261129T204700_organizations_made", up: organizationsMade.up },
  { name: "20261129T220700_frontend_settings", up: frontendSettings.up },
  { name: "20261129T230731_api_key_uses", up: apiKeyUses.up },
  { name: "20261129T231900_proxy_tokens", up: proxyTokens.up },
  { name: "20261130T011400_organization_invitations", up: organizationInvitations.up },
  { name: "20261130T011731_gate_sessions", up: gateSessions.up },
  { name: "20261130T013011_session_authentication", up: sessionAuthentication.up },
  { name: "20261130T013700_invitation_mails_due", up: invitationMailsDue.up },
  { name: "20261130T014200_known_browsers", up: knownBrowsers.up },
  { name: "20261130T014740_search", up: search.up },
  { name: "20261130T014950_gate_confirmations", up: gateConfirmations.up },
  { name: "20261130T015100_audit_mailboxes", up: auditMailboxes.up },
  { name: "20261130T042417_email_undos", up: emailUndos.up },
  { name: "20261130T042430_avatars", up: avatars.up },
  { name: "20261130T042431_names", up: names.up },
  { name: "20261130T045312_passkey_backup", up: passkeyBackup.up },
  { name: "20261130T051500_user_preferences", up: userPreferences.up },
];

const later: readonly SchemaMigration[] = [
  { name: "20261130T050600_last_backup", beside: "0.1.0", up: lastBackup.up },
  { name: "20261130T053111_personal_tokens", beside: "0.1.0", up: personalTokens.up },
  { name: "20261130T075513_oldest_programs", beside: "0.1.0", up: oldestPrograms.up },
  { name: "20261130T075831_moves", beside: "0.1.0", up: moves.up },
  { name: "20261130T114911_search_backlog", beside: "0.1.0", up: searchBacklog.up },
  { name: "20261130T120632_disabled_users", beside: "0.1.0", up: disabledUsers.up },
];

/** All migrations, oldest first. */
export const migrations: readonly SchemaMigration[] = [
  ...first.map((migration) => ({ ...migration, beside: null })),
  ...later,
].toSorted((one, other) => (one.name < other.name ? -1 : 1));
