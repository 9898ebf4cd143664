/** Tells the other tabs of this origin who signed in or out, and hears it from them. */
import type { Surroundings } from "../surroundings.ts";
import type { SessionKeeper } from "./session.ts";

type News =
  | { readonly type: "signed_in" }
  | { readonly type: "over"; readonly event: "signed_out" | "expired" | "ended"; readonly sessionId: string };

/** This page among its tabs. */
export interface Tabs {
  /** Says that somebody signed in here. */
  announceSignIn(): void;
  close(): void;
}

/** Joins the other tabs that talk to the same server. */
export function joinTabs(
  name: string,
  session: Pick<SessionKeeper, "current" | "begin" | "end" | "onChange">,
  { openChannel }: Pick<Surroundings, "openChannel">,
): Tabs {
  let knownId = session.current?.id;
  let isListening = false;

  const channel = openChannel(name, (message) => {
    const news = message as News;
    isListening = true;
    try {
      // The cookie is another one now: who it stands for, the server says.
      if (news.type === "signed_in") session.begin().catch(() => {});
      if (news.type === "over" && news.sessionId === session.current?.id) session.end(news.event);
    } finally {
      isListening = false;
    }
  });

  const stop = session.onChange(({ event, current }) => {
    const isOver = event === "signed_out" || event === "expired" || event === "ended";
    // What was heard is not repeated, or tabs would talk without end.
    if (isOver && knownId !== undefined && !isListening) {
      channel?.post({ type: "over", event, sessionId: knownId } satisfies News);
    }
    knownId = current?.id;
  });

  return {
    announceSignIn: () => channel?.post({ type: "signed_in" } satisfies News),
    close() {
      stop();
      channel?.close();
    },
  };
}
