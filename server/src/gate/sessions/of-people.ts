/** What is kept here of people who came in by their account here: for them to see, and forgotten with what they were. */
import type { Reader } from "../../db/database.ts";
import { findLiveGateSessions } from "./store.ts";

export { findConfirmations, forgetConfirmations } from "./confirmation-store.ts";

/** How many sessions are read at once. */
const sessionsAtOnce = 200;

/** A user's live sessions at custom frontends, oldest first. Those that other providers proved are known to be nobody's. */
export async function* readFrontendSessions(reader: Reader, userId: string, now: Date) {
  let afterId = "";
  for (;;) {
    const range = { afterId, limit: sessionsAtOnce };
    const sessions = await findLiveGateSessions(reader, { userId }, now, range);
    for (const { id, frontdoorId, host, device, createdAt, lastUsedAt, expiresAt } of sessions) {
      yield { id, frontdoorId, host, device, createdAt, lastUsedAt, expiresAt };
    }
    const last = sessions.at(-1);
    if (last === undefined || sessions.length < sessionsAtOnce) return;
    afterId = last.id;
  }
}
