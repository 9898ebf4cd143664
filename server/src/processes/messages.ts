/** What the supervisor and the processes below it say to each other, over the channel that Node gives both. */

/** From a serving process. */
export type MemberMessage =
  /** It serves. */
  | { readonly type: "ready" }
  /** It was asked for metrics, and wants those of the others. */
  | { readonly type: "gather"; readonly id: number }
  /** Its metrics, as an answer to `read`. */
  | { readonly type: "metrics"; readonly id: number; readonly text: string }
  /** The others are to look for what is new. */
  | { readonly type: "wake" }
  | { readonly type: "want turn" }
  | { readonly type: "end turn" };

/** From the supervisor. */
export type SupervisorMessage =
  /** End as if the signal had come. */
  | { readonly type: "stop"; readonly signal: string }
  /** Another process wants its metrics. */
  | { readonly type: "read"; readonly id: number }
  /** What there is for `gather`. */
  | { readonly type: "gathered"; readonly id: number; readonly texts: readonly string[] }
  | { readonly type: "wake" }
  /** It is your turn. */
  | { readonly type: "turn" }
  /** Somebody else wants the turn that you have. */
  | { readonly type: "turn wanted" };
