/** Names by which what went wrong with somebody else's server is told apart, in the audit's details. */
export const findingNames = [
  /** What was wrong: a kind, or how no connection was had. */
  "cause",
  /** What was asked. */
  "at",
  /** What it answered (RFC 6749 §5.2). */
  "error",
  "description",
  "status",
  /** What was not as it has to be. */
  "claim",
  "expected",
  "found",
] as const;

/** What went wrong with somebody else's server. Never a secret. */
export type Findings = { readonly [Name in (typeof findingNames)[number]]?: string };
