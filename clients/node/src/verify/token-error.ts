/** What is wrong with a token. */
export type TokenProblem =
  | "TOKEN_MALFORMED"
  | "TOKEN_TYPE"
  | "TOKEN_KEY_UNKNOWN"
  | "TOKEN_ALGORITHM"
  | "TOKEN_SIGNATURE"
  | "TOKEN_CLAIMS"
  | "TOKEN_ISSUER"
  | "TOKEN_AUDIENCE"
  | "TOKEN_EXPIRED"
  | "TOKEN_NOT_YET_VALID"
  | "TOKEN_REFUSED";

/** A token was refused. Its message repeats nothing of the token but its times. */
export class TokenError extends Error {
  override readonly name = "TokenError";
  readonly reason: TokenProblem;

  constructor(reason: TokenProblem, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Vestibule cannot be asked, so nothing can be said of the role: neither held nor not. */
export class RoleCheckUnavailableError extends Error {
  override readonly name = "RoleCheckUnavailableError";
  /** When asking again makes sense. */
  readonly retryAfterSeconds = 5;

  constructor(cause: unknown) {
    super("whether the role is held cannot be asked", { cause });
  }
}

/** The keys cannot be had, so nothing can be said of the token: neither good nor bad. */
export class KeySetUnavailableError extends Error {
  override readonly name = "KeySetUnavailableError";
  /** When asking again makes sense. */
  readonly retryAfterSeconds: number;

  constructor(retryAfterSeconds: number, cause: unknown) {
    super("the keys that verify tokens cannot be fetched", { cause });
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
