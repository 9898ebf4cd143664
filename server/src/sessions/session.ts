/** A person's sign-in in one browser. */
export interface Session {
  /** Shown to its owner, and in tokens. The cookie holds another, secret id. */
  readonly id: string;
  readonly userId: string;
  readonly device: Device;
  readonly createdAt: Date;
  /** When the person last proved themselves. */
  readonly authenticatedAt: Date;
  /** When it was last used, to the minute. */
  readonly updatedAt: Date;
  /** When it ends, used or not. */
  readonly expiresAt: Date;
}

/** Device and place of a session. What is not known is empty. */
export interface Device {
  readonly operatingSystem: string;
  readonly browser: string;
  readonly ipAddress: string;
  readonly city: string;
  readonly country: string;
  readonly latitude: string;
  readonly longitude: string;
}

/** A session with what a request needs to know of its user. */
export interface LiveSession {
  readonly id: string;
  readonly userId: string;
  /** SHA-256 of what the cookie's companion holds, base64url. */
  readonly companionHash: string;
  readonly email: string;
  /** Whether our own mail or an authoritative provider has proven the address. */
  readonly emailProven: boolean;
  readonly userState: "enabled" | "disabled";
  /** When the person last proved themselves. */
  readonly authenticatedAt: Date;
  readonly updatedAt: Date;
  readonly expiresAt: Date;
}

/** Most live sessions of a user; the sign-in after that ends the oldest. */
export const sessionsPerUser = 100;

/** For how long after a sign-in its session may do what a stolen one must not, in milliseconds. */
const recentMs = 600_000;

/** Whether somebody has proven themselves lately enough to change what opens their account. */
export function isRecentSignIn(authenticatedAt: Date, now: Date): boolean {
  return now.getTime() - authenticatedAt.getTime() <= recentMs;
}
