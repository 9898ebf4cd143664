/**
 * The clients of one Vestibule, with a credential that looks after its own
 * tokens.
 */
import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { AuditService } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
import { OrganizationService } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { toBaseUrl } from "../../shared/src/base-url.ts";
import { createTokenSource, type TokenSource } from "../../shared/src/token-source.ts";
import { systemClock } from "./clock.ts";
import type { Credential, TokenEndpoint } from "./credentials/credential.ts";
import { translateLostConnection } from "./lost-connection.ts";
import { createRetry, createRetryInterceptor, defaultRetryPolicy, type RetryPolicy } from "./retry.ts";
import { createAuthorizeInterceptor } from "./tokens/authorize.ts";
import { type ConnectionOptions, createConnection } from "./transport.ts";

/** Where the server is, and how this program proves who it is. */
export interface VestibuleOptions extends ConnectionOptions {
  /** Who is calling. Without it calls carry what their own headers say. */
  readonly credentials?: Credential;
  /**
   * The server's issuer (its public URL), which assertions are made out to.
   * Default: `baseUrl`; name it when the server is reached by another address.
   */
  readonly issuer?: string;
  /** Project that tokens are asked for (`X-Project`). */
  readonly project?: string;
  /** The one organization that tokens are asked for (`X-Organization`). */
  readonly organization?: string;
  /** How calls that may be repeated are tried again when the server is unavailable; `false` for never. */
  readonly retry?: Partial<RetryPolicy> | false;
  /** Interceptors of your own. They run first and never see a token. */
  readonly interceptors?: readonly Interceptor[];
  /** Makes the transport instead; has to run the interceptors it is given. */
  readonly transport?: (interceptors: Interceptor[]) => Transport;
  /** Hears of every failure to get a token, also of renewals ahead of time, whose callers do not notice. */
  readonly onTokenError?: (error: unknown) => void;
}

/** Typed clients over one connection. */
export interface Vestibule {
  readonly auth: Client<typeof AuthService>;
  readonly serviceUsers: Client<typeof ServiceUserService>;
  readonly organizations: Client<typeof OrganizationService>;
  readonly users: Client<typeof UserService>;
  readonly audit: Client<typeof AuditService>;
  readonly frontdoors: Client<typeof FrontdoorService>;
  readonly gate: Client<typeof GateService>;
  readonly authProviders: Client<typeof FrontdoorAuthProviderService>;
  /** A client of any other service, with the same credential and retries. */
  client<S extends DescService>(service: S): Client<S>;
  /**
   * The access token that calls are sent with, for use with other HTTP
   * clients: ask for it anew with every request.
   *
   * @throws ConnectError what the server refused the credential with.
   * @throws TypeError without credentials.
   */
  getAccessToken(options?: { readonly signal?: AbortSignal }): Promise<string>;
  /** Ends open calls and the connection. A process with nothing else to do ends without it. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Deadline of one request for a token. */
const tokenTimeoutMs = 15_000;

/**
 * Prepares clients; nothing is sent before the first call.
 *
 * @throws TypeError for options that cannot be.
 */
export function createVestibule(options: VestibuleOptions): Vestibule {
  const { credentials, interceptors = [], retry: policy = {} } = options;
  const connection = createConnection(options);
  const openTransport = options.transport ?? connection.openTransport;
  const retry = createRetry(
    policy === false ? { ...defaultRetryPolicy, maxAttempts: 1 } : withDefaults(policy),
  );

  // Requests for tokens have a transport of their own, so that no token is asked for to get one.
  const endpoint = createTokenEndpoint(openTransport([translateLostConnection]), options);
  const tokens =
    credentials &&
    createTokenSource({
      // Retried as a whole: an assertion is good for one use only.
      fetchToken: () => retry(() => credentials.fetchToken(endpoint)).catch(explainTokenError),
      monotonicMs: systemClock.monotonicMs,
      random: Math.random,
      onError: options.onTokenError,
    });

  const transport = openTransport([
    ...interceptors,
    ...(tokens ? [createAuthorizeInterceptor(tokens)] : []),
    createRetryInterceptor(retry),
    translateLostConnection,
  ]);
  const client = <S extends DescService>(service: S): Client<S> => createClient(service, transport);
  return {
    auth: client(AuthService),
    serviceUsers: client(ServiceUserService),
    organizations: client(OrganizationService),
    users: client(UserService),
    audit: client(AuditService),
    frontdoors: client(FrontdoorService),
    gate: client(GateService),
    authProviders: client(FrontdoorAuthProviderService),
    client,
    getAccessToken: ({ signal } = {}) => getToken(tokens, signal),
    close: () => connection.close(),
    [Symbol.dispose]: () => connection.close(),
  };
}

function withDefaults(policy: Partial<RetryPolicy>): RetryPolicy {
  const given = Object.entries(policy).filter(([, value]) => value !== undefined);
  return { ...defaultRetryPolicy, ...Object.fromEntries(given) };
}

async function getToken(tokens: TokenSource | undefined, signal: AbortSignal | undefined): Promise<string> {
  if (tokens === undefined) throw new TypeError("getAccessToken needs credentials");
  return await tokens.get(signal);
}

function createTokenEndpoint(transport: Transport, options: VestibuleOptions): TokenEndpoint {
  const auth = createClient(AuthService, transport);
  const { project, organization } = options;
  const scope = {
    ...(project !== undefined && { "x-project": project }),
    ...(organization !== undefined && { "x-organization": organization }),
  };
  return {
    issuer: options.issuer ?? toBaseUrl(options.baseUrl),
    async exchange(request, headers = {}) {
      const granted = await auth.authToken(request, {
        headers: { ...scope, ...headers },
        timeoutMs: tokenTimeoutMs,
      });
      return { accessToken: granted.accessToken, expiresInSeconds: granted.expiresIn };
    },
  };
}

/** Says that it was the credential, not the call, that was refused; code, reason and details stay. */
function explainTokenError(error: unknown): never {
  if (!(error instanceof ConnectError)) throw error;
  const text = `no access token: ${error.rawMessage}`;
  const explained = new ConnectError(text, error.code, error.metadata, undefined, error);
  explained.details = error.details;
  throw explained;
}
