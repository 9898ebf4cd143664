import { type ContextKey, createContextKey } from "@connectrpc/connect";

/**
 * What the edge knows of a request before any handler sees it. The edge makes
 * one for each request and hands it to RPC handlers as a context value, to
 * plain routes as an argument.
 */
export interface RequestInfo {
  /** `X-Request-Id` as taken or made; answered, logged and audited. */
  readonly requestId: string;
  /** Address of the client: the peer's, or the one a trusted proxy names. */
  readonly clientAddress: string;
  /** Whether the peer's own address is in `trusted_proxies`. */
  readonly fromTrustedProxy: boolean;
  readonly userAgent: string;
  /** Stands for the connection that it came by, where that is known. */
  readonly connection?: object | undefined;
  /** Set along the way for the access log, metrics and audit. */
  readonly outcome: RequestOutcome;
  /** Absent where nobody bounds it. */
  readonly doWork?: DoWork | undefined;
}

/**
 * Does a request's work when there is room for it, at once where there is, and answers or settles as it does;
 * rejects where its caller goes away before.
 */
export type DoWork = <T>(work: () => T | Promise<T>) => T | Promise<T>;

/** What the access log and the metrics say of a request once it is over. */
export interface RequestOutcome {
  /** Connect code, `ok` or an HTTP status class name; absent until known. */
  code?: string;
  /** `user:<id>` or `serviceuser:<id>`, once known. */
  principal?: string;
  /** Kind of the credential that was used: `client_secret`, `access_token`, … */
  credentialKind?: string;
  /** Name of the reason of a refusal, or of a decision of the gate, and what of it is for operators only. */
  reason?: string;
  detail?: string;
}

/** Of what no request asked for. */
export const unknownRequest: RequestInfo = {
  requestId: "",
  clientAddress: "",
  fromTrustedProxy: false,
  userAgent: "",
  outcome: {},
};

/** Carries the {@link RequestInfo} of a call through Connect's context values. */
export const requestInfoKey: ContextKey<RequestInfo> = createContextKey(unknownRequest, {
  description: "request info",
});
