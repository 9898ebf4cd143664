/**
 * Keeps a session in use while its page is looked at, and notices its end.
 *
 * Sessions last as long as they last; a ping does not lengthen them, but says
 * where they are used. A page that nobody sees sends nothing, and makes up for
 * it when it is shown again.
 */

import type { Surroundings } from "../surroundings.ts";
import type { SessionKeeper } from "./session.ts";

/** What renews a session, and by which clock. */
export interface RenewalOptions
  extends Pick<Surroundings, "clock" | "startTimer" | "isVisible" | "onVisibility"> {
  readonly session: Pick<SessionKeeper, "current" | "refresh" | "onChange">;
  /** Calls `PingUserSession`. */
  readonly ping: () => Promise<unknown>;
}

/** How often a session is pinged. */
const pingIntervalMs = 600_000;

/** How soon a ping that failed is repeated. */
const retryIntervalMs = 60_000;

/** Starts to keep the session. @returns what stops it */
export function startRenewal(options: RenewalOptions): () => void {
  const { session, ping, clock, startTimer, isVisible, onVisibility } = options;
  let pingAtMs = 0;
  let sessionId: string | undefined;
  /** Session whose end was asked about: the server's clock may be behind ours. */
  let askedAboutId: string | undefined;
  let cancelTimer = (): void => {};
  let isBusy = false;

  function untilExpiryMs(): number {
    const { current } = session;
    if (current === undefined || current.id === askedAboutId) return Number.POSITIVE_INFINITY;
    return current.expiresAt.getTime() - clock.now().getTime();
  }

  async function act(): Promise<void> {
    isBusy = true;
    try {
      if (untilExpiryMs() <= 0) {
        askedAboutId = session.current?.id;
        await session.refresh();
      } else if (clock.monotonicMs() >= pingAtMs) {
        pingAtMs = clock.monotonicMs() + retryIntervalMs;
        await ping();
        pingAtMs = clock.monotonicMs() + pingIntervalMs;
      }
    } catch {
      // Tried again in a minute; that the session is over comes by `onChange`.
    } finally {
      isBusy = false;
      schedule();
    }
  }

  function schedule(): void {
    cancelTimer();
    if (isBusy || session.current === undefined || !isVisible()) return;
    const waitMs = Math.min(pingAtMs - clock.monotonicMs(), untilExpiryMs());
    cancelTimer = startTimer(() => void act(), Math.max(0, waitMs));
  }

  function onChange(): void {
    if (session.current?.id !== sessionId) {
      sessionId = session.current?.id;
      askedAboutId = undefined;
      pingAtMs = clock.monotonicMs() + pingIntervalMs;
    }
    schedule();
  }

  const stops = [session.onChange(onChange), onVisibility(schedule), () => cancelTimer()];
  onChange();
  return () => {
    for (const stop of stops) stop();
  };
}
