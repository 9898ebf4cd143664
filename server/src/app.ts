/**
 * The composition root: builds every part once and lists every handler in one
 * literal. Long because it is flat.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AuditService as AuditServiceSchema } from "@vestibule/proto/vestibule/v1/audit_service_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { FrontdoorService as FrontdoorServiceSchema } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { OrganizationService as OrganizationServiceSchema } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import { ServiceUserService as ServiceUserServiceSchema } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { UserService as UserServiceSchema } from "@vestibule/proto/vestibule/v1/user_service_pb";
import { registerService } from "./assembly/services.ts";
import { createAuditHandler } from "./audit/handler.ts";
import { AuditRetention } from "./audit/retention.ts";
import { AuditService } from "./audit/service.ts";
import { AnswerVerifier } from "./auth/answer-verifier.ts";
import { createBrowsers } from "./auth/browser.ts";
import { BrowserSignIn } from "./auth/browser-sign-in.ts";
import { createCallbackRoutes } from "./auth/callback-routes.ts";
import { deleteExpiredFlows } from "./auth/flow-store.ts";
import { Flows } from "./auth/flows.ts";
import { createFlowMethods } from "./auth/handler.ts";
import { deleteSentCodes } from "./auth/sent-code-store.ts";
import { SignInService } from "./auth/service.ts";
import { createConfiguredStrategies } from "./auth/strategies/configured.ts";
import { InvalidatedCache } from "./changes/cache.ts";
import type { Config } from "./config/config.ts";
import { isAddress } from "./config/urls.ts";
import type { Reader, Tx } from "./db/database.ts";
import { sweepInBatches } from "./db/sweep.ts";
import { Admission } from "./edge/admission.ts";
import { listFrontierMethods } from "./edge/frontier/methods.ts";
import { createHealth } from "./edge/operations/health.ts";
import { createMetrics } from "./edge/operations/metrics.ts";
import { createEdge } from "./edge/router.ts";
import { createEgress, fetchResults } from "./egress/egress.ts";
import { createJsonCache } from "./egress/json-cache.ts";
import { toOperatorOrigins } from "./egress/operator-origins.ts";
import { createFigures } from "./figures.ts";
import { createApiKeyMethods } from "./frontdoor/api-keys/handler.ts";
import { ApiKeyService } from "./frontdoor/api-keys/service.ts";
import { findApiKey } from "./frontdoor/api-keys/store.ts";
import { createFrontdoorAccess } from "./frontdoor/frontdoors/access.ts";
import { createFrontdoorMethods } from "./frontdoor/frontdoors/handler.ts";
import { FrontdoorService } from "./frontdoor/frontdoors/service.ts";
import { createFrontendMethods } from "./frontdoor/frontends/handler.ts";
import { FrontendService } from "./frontdoor/frontends/service.ts";
import { createTypeMethods } from "./frontdoor/provider-types/handler.ts";
import { createOwnPrincipals } from "./frontdoor/provider-types/own-principals.ts";
import { createProviderTypes } from "./frontdoor/provider-types/provider-types.ts";
import { createSchemaRoutes } from "./frontdoor/provider-types/schema-routes.ts";
import { createProviderValidator } from "./frontdoor/provider-types/validate.ts";
import { createDryRunMethods } from "./frontdoor/providers/dry-run-handler.ts";
import { DryRunService } from "./frontdoor/providers/dry-run-service.ts";
import { createProviderMethods } from "./frontdoor/providers/handler.ts";
import { ProviderList } from "./frontdoor/providers/list.ts";
import { ProviderService } from "./frontdoor/providers/service.ts";
import { createFrontdoorSweep } from "./frontdoor/sweep.ts";
import { createWatchMethods } from "./frontdoor/watch/handler.ts";
import { ProviderWatch } from "./frontdoor/watch/watch.ts";
import { readBody } from "./http/node-http.ts";
import type { Clock } from "./lib/clock.ts";
import { DomainError } from "./lib/errors.ts";
import type { Log } from "./lib/log.ts";
import { oneAtATime } from "./lib/one-at-a-time.ts";
import type { Stopping } from "./lib/stopping.ts";
import { Tally } from "./lib/tally.ts";
import type { Tracing } from "./lib/tracing.ts";
import { createCredentialGuard, type FailureLimit } from "./limits/credential-guard.ts";
import { type FlowLimit, FlowLimits } from "./limits/flow-limits.ts";
import { guardChain } from "./limits/guarded-chain.ts";
import { deleteForgottenClients } from "./limits/known-client-store.ts";
import { KnownClients } from "./limits/known-clients.ts";
import { type MailboxLimit, MailboxLimits, mailboxWindowMs } from "./limits/mailbox-limits.ts";
import { deleteStaleCounts } from "./limits/rolling-count-store.ts";
import { SharedCounts } from "./limits/shared-counts.ts";
import { listen } from "./listener/listener.ts";
import { createMailer } from "./mail/mailer.ts";
import { toOwnerlessNotice, toPasskeyNotice, toTakeOverNotice, toUnlinkNotice } from "./mail/notices.ts";
import { createOutbox } from "./mail/outbox.ts";
import { createSmtpTransport } from "./mail/smtp.ts";
import { createAccess } from "./organizations/access.ts";
import { createFrontierHandler, createOrganizationHandler } from "./organizations/handler.ts";
import { MemberService } from "./organizations/member-service.ts";
import {
  findEnabledMemberships,
  findForemostOrganizationIds,
  findMemberRole,
} from "./organizations/member-store.ts";
import { createFindVisibleProject, ProjectService } from "./organizations/project-service.ts";
import { OrganizationService } from "./organizations/service.ts";
import { findOrganization, findTenant } from "./organizations/store.ts";
import { createPages } from "./pages/pages.ts";
import { createPasskeyMethods } from "./passkeys/handler.ts";
import { PasskeyService } from "./passkeys/service.ts";
import {
  deletePasskeys,
  findPasskeyByCredentialId,
  findPasskeyOwner,
  findPasskeys,
  holdPasskey,
} from "./passkeys/store.ts";
import { createPrincipalChain } from "./principals/chain.ts";
import { createWhoamiMethods } from "./principals/handler.ts";
import {
  type CredentialCaches,
  createServiceUserAuthenticator,
  tokenSubjects,
} from "./service-users/authenticator.ts";
import { type BootstrapCredential, ensureBootstrap } from "./service-users/bootstrap.ts";
import { CredentialService } from "./service-users/credential-service.ts";
import { deleteCredential, findCredential, findTokenByHash } from "./service-users/credential-store.ts";
import { createServiceUserHandler } from "./service-users/handler.ts";
import { toServiceUserMessage } from "./service-users/messages.ts";
import { ServiceUserService } from "./service-users/service.ts";
import { findServiceUser } from "./service-users/store.ts";
import { UsageRecorder } from "./service-users/usage.ts";
import { UsageService } from "./service-users/usage-service.ts";
import { createSessionAuthenticator, type SessionCaches, sessionSubjects } from "./sessions/authenticator.ts";
import { createSessionCookies } from "./sessions/cookie.ts";
import { createSessionMethods } from "./sessions/handler.ts";
import { SessionService } from "./sessions/service.ts";
import {
  deleteExpiredSessions,
  deleteSession,
  findLiveSession,
  findLiveSessionByHash,
  holdSession,
} from "./sessions/store.ts";
import { SessionTouches } from "./sessions/touches.ts";
import type { Storage } from "./storage.ts";
import { createAccessTokens } from "./tokens/access-token.ts";
import { consumeAssertion } from "./tokens/assertion-store.ts";
import { createAssertionAuthenticator } from "./tokens/assertions.ts";
import { createGrants } from "./tokens/grants.ts";
import { createTokenMethods } from "./tokens/handler.ts";
import { createJwksHandler } from "./tokens/jwks.ts";
import { createKeyring } from "./tokens/keyring.ts";
import { oauthPaths } from "./tokens/oauth-metadata.ts";
import { createOauthRoutes } from "./tokens/oauth-routes.ts";
import { type CredentialJudges, createProofs } from "./tokens/proofs.ts";
import { findRevokedTokens, insertRevokedToken, isRevokedToken } from "./tokens/revocation-store.ts";
import { Revocations } from "./tokens/revocations.ts";
import { findSigningKeys } from "./tokens/store.ts";
import { createTokenSweep } from "./tokens/sweep.ts";
import { createTokenIssuer } from "./tokens/token-issuer.ts";
import { Accounts } from "./users/accounts.ts";
import { createUserHandler, toUserMessage } from "./users/handler.ts";
import { createIdentityMethods } from "./users/identity-handler.ts";
import { hasWayInWithoutPasskey, IdentityService } from "./users/identity-service.ts";
import { UserService } from "./users/service.ts";
import { findUser } from "./users/store.ts";

/** How often due rotations and retirements of signing keys are looked for. */
const maintenanceMs = 60_000;

/** How long requests in flight may take once no more are accepted, and how much time is kept for what comes after. */
const longestDrainMs = 10_000;
const lastWritesMs = 10_000;

/** How long callers have to hear that theirs took too long. */
const toldMs = 500;

/** Bounds of the caches: entries, not bytes. */
const cachedCredentials = 20_000;
const cachedPrincipals = 10_000;
const cachedSessions = 50_000;

/** How many of a person's organizations an access token names at most. */
const claimedOrganizations = 100;

export interface AppOptions {
  readonly config: Config;
  readonly storage: Storage;
  readonly log: Log;
  readonly clock: Clock;
  /** Absent when traces are off. */
  readonly tracing?: Tracing | undefined;
  /** Where the lines of the log go; absent, none is ever lost. */
  readonly logOutput?: { readonly lostCount: number };
  /** Waits between tries of a mail and probes of its server; rejects when aborted. For tests, which have less time. */
  readonly waitForMail?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A running server. */
export interface App {
  readonly host: string;
  readonly port: number;
  /** The bootstrap credential, if it was generated by this start. */
  readonly generatedCredential: BootstrapCredential | undefined;
  /**
   * Tells everybody to go elsewhere and serves on for `shutdown.grace`, then
   * takes no more requests, lets those in flight finish, and writes what waits.
   * Leaves the storage open.
   */
  close(stopping: Stopping): Promise<void>;
}

/** Builds the server over its storage and opens the port. */
export async function createApp(options: AppOptions): Promise<App> {
  const { config, storage, log, clock, tracing, waitForMail, logOutput = { lostCount: 0 } } = options;
  const { database, feed, audit, sealer, rotation, secrets } = storage;
  const { reader } = database;
  const { authentication, limits } = config;

  // What nobody else keeps count of.
  const usedUp = new Tally<FailureLimit | FlowLimit | MailboxLimit>([
    "client_failures",
    "address_failures",
    "address_flows",
    "mailbox_wrong_codes",
    "mailbox_mails",
    "address_mails",
  ]);
  const fetches = new Tally(fetchResults);
  const swept = new Tally(["flows", "sent_codes", "sessions", "limit_counts"]);

  const auditRetention = new AuditRetention({
    database,
    clock,
    log,
    retentionSeconds: config.audit.retentionSeconds,
  });
  const rates = new SharedCounts({ database, clock, log, windowMs: 60_000 });
  const goodClients = new KnownClients({ database, clock, log });
  const guard = createCredentialGuard({
    counts: rates,
    goodClients,
    audit,
    perClient: limits.failedCredentialsPerClientPerMinute,
    perAddress: limits.failedCredentialsPerAddressPerMinute,
    onLimit: (limit) => usedUp.add(limit),
  });
  await feed.start();
  await rates.start();
  await rotation.maintain();

  // Tokens
  const keyring = createKeyring({
    cache: new InvalidatedCache({ feed, topics: ["signing-keys"], maxEntries: 1 }),
    sealer,
    clock,
    findSigningKeys: () => findSigningKeys(reader),
  });
  await keyring.get();
  const revocations = new Revocations({
    feed,
    store: {
      insert: insertRevokedToken,
      isRevoked: (jti) => isRevokedToken(reader, jti),
      findAll: (now, limit) => findRevokedTokens(reader, now, limit),
    },
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
  });
  await revocations.fill();
  const accessTokens = createAccessTokens({
    keyring,
    clock,
    issuer: authentication.token.issuer,
    audience: authentication.token.audience,
    validitySeconds: authentication.token.validitySeconds,
    clockSkewSeconds: authentication.clockSkewSeconds,
    isRevoked: (jti) => revocations.isRevoked(jti),
  });

  // Principals
  const usage = new UsageRecorder({ database, clock, log });
  const serviceUserCaches: CredentialCaches = {
    credentials: new InvalidatedCache({ feed, topics: ["credential"], maxEntries: cachedCredentials }),
    tokens: new InvalidatedCache({
      feed,
      topics: ["credential"],
      maxEntries: cachedCredentials,
      subjectsOf: tokenSubjects,
    }),
    serviceUsers: new InvalidatedCache({ feed, topics: ["service-user"], maxEntries: cachedPrincipals }),
    organizationStates: new InvalidatedCache({
      feed,
      topics: ["organization"],
      maxEntries: cachedPrincipals,
    }),
  };
  const serviceUserAuthenticator = createServiceUserAuthenticator({
    source: {
      findCredential: (id) => findCredential(reader, id),
      findTokenByHash: (hash) => findTokenByHash(reader, hash),
      findServiceUser: (id) => findServiceUser(reader, id),
      findOrganizationState: async (id) => (await findOrganization(reader, id))?.state,
    },
    caches: serviceUserCaches,
    usage,
    clock,
  });
  const sessionCookies = createSessionCookies({
    hashKeys: [secrets.sessionHashKey, ...secrets.previousSessionHashKeys],
    blockKeys: [secrets.sessionBlockKey, ...secrets.previousSessionBlockKeys],
    host: new URL(config.publicUrl).hostname,
    domain: authentication.session.domain,
    sameSite: authentication.session.sameSite,
    secure: authentication.session.secure,
    isBound: authentication.session.isBound,
  });
  const sessionTouches = new SessionTouches({ database, clock, log });
  const sessionCache = {
    feed,
    topics: ["session", "user"],
    maxEntries: cachedSessions,
    subjectsOf: sessionSubjects,
  } as const;
  const sessionCaches: SessionCaches = {
    byHash: new InvalidatedCache(sessionCache),
    byId: new InvalidatedCache(sessionCache),
  };
  const sessionAuthenticator = createSessionAuthenticator({
    cookies: sessionCookies,
    isBound: authentication.session.isBound,
    source: {
      findByHash: (secretHash) => findLiveSessionByHash(reader, secretHash),
      findById: (id) => findLiveSession(reader, id),
      isUser: async (id) => (await findUser(reader, id)) !== undefined,
    },
    caches: sessionCaches,
    clock,
    adminEmails: config.adminEmails,
    touches: sessionTouches,
  });
  const judges: CredentialJudges = {
    basic: serviceUserAuthenticator.authenticateSecret,
    opaqueToken: serviceUserAuthenticator.authenticateOpaqueToken,
    accessToken: async (token) => {
      const claims = await accessTokens.verify(token);
      const { sub, credential_id: credentialId = "", auth_via: authVia, jti: tokenId } = claims;
      const principal =
        claims.sub_type === "app/user"
          ? await sessionAuthenticator.authenticateTokenSubject({
              userId: sub,
              sessionId: credentialId,
              authVia,
              tokenId,
            })
          : await serviceUserAuthenticator.authenticateTokenSubject({
              serviceUserId: sub,
              credentialId,
              authVia,
              tokenId,
            });
      return { principal, claims };
    },
    session: sessionAuthenticator.authenticateCookie,
    assertions: createAssertionAuthenticator({
      keys: serviceUserAuthenticator,
      clock,
      audiences: [authentication.token.issuer, config.publicUrl + oauthPaths.token],
      clockSkewSeconds: authentication.clockSkewSeconds,
      consume: (id, expiresAt) => database.transaction((tx) => consumeAssertion(tx, id, expiresAt)),
    }),
  };
  const principals = createPrincipalChain({
    basic: judges.basic,
    opaqueToken: judges.opaqueToken,
    accessToken: async (token) => (await judges.accessToken(token)).principal,
    session: sessionAuthenticator.authenticateCookie,
    findSessionCookies: sessionAuthenticator.findCookies,
  });
  const access = createAccess({
    findOrganization: (idOrName) => findOrganization(reader, idOrName),
    findMemberRole: (userId, orgId) => findMemberRole(reader, userId, orgId),
  });

  const guardedPrincipals = guardChain(principals, guard);

  // Nouns
  const organizations = new OrganizationService({ database, feed, access, audit, clock, limits });
  const members = new MemberService({ database, access, audit, clock, limits });
  const projects = new ProjectService({ database, access, audit, clock });
  const serviceUsers = new ServiceUserService({ database, feed, access, audit, clock });
  const lifetimes = authentication.credentials;
  const credentials = new CredentialService({ database, feed, access, audit, clock, lifetimes });
  const usages = new UsageService({ database, access, clock });
  const proofs = createProofs(judges, guard);
  const tokenIssuer = createTokenIssuer({
    accessTokens,
    claims: authentication.token.claims,
    findUserOrganizationIds: (userId) => findForemostOrganizationIds(reader, userId, claimedOrganizations),
    findVisibleProject: createFindVisibleProject(reader),
    audit,
  });
  const grants = createGrants({
    proofs,
    issuer: tokenIssuer,
    assertionRules: { relaxed: authentication.assertions === "frontier" },
    findSessionCookies: sessionAuthenticator.findCookies,
  });

  // People
  const { host: publicHost, hostname: publicName } = new URL(config.publicUrl);
  const siteName = authentication.passkey?.rpDisplayName ?? publicHost;
  const mailFrom = {
    name: config.mailFrom?.name ?? siteName,
    // A name: no mail server takes an address for a domain.
    address: config.mailFrom?.address ?? `no-reply@${isAddress(publicName) ? "localhost" : publicName}`,
  };
  const mailer = createMailer({
    transport:
      config.smtpUrl === undefined
        ? createOutbox({ folder: join(config.dataDir, "outbox"), from: mailFrom, clock, log })
        : await createSmtpTransport({ url: config.smtpUrl, from: mailFrom }),
    log,
    tracing,
    wait: waitForMail,
  });
  const egress = createEgress({
    allowCidrs: config.egress.allowCidrs,
    allowedOrigins: toOperatorOrigins(authentication.oidcProviders),
    log,
    tracing,
    onEnded: (result) => fetches.add(result),
  });
  const mailboxLimits = new MailboxLimits({
    database,
    clock,
    wrongCodesPerMailbox: limits.wrongCodesPerMailboxPerHour,
    mailsPerMailbox: limits.mailsPerMailboxPerHour,
    mailsPerAddress: limits.mailsPerAddressPerHour,
    onLimit: (limit) => usedUp.add(limit),
  });
  const passkeys = new PasskeyService({
    database,
    audit,
    clock,
    holdSession,
    hasOtherWayIn: hasWayInWithoutPasskey,
    notify: (to, event, name) => {
      const mail = { to, ...toPasskeyNotice(siteName, event, name) };
      mailer.send(mail).catch((err) => log.warn({ err }, "the owner of a passkey could not be told of it"));
    },
  });
  const hasPasskey = async (from: Reader, userId: string) => (await findPasskeys(from, userId)).length > 0;
  const identities = new IdentityService({
    database,
    audit,
    hasPasskey,
    notify: (to, { strategy, email }) => {
      const mail = { to, ...toUnlinkNotice(siteName, strategy, email) };
      mailer.send(mail).catch((err) => log.warn({ err }, "the owner of an identity could not be told of it"));
    },
  });
  const strategies = createConfiguredStrategies({
    authentication,
    siteName,
    mailer,
    mailAllowance: mailboxLimits,
    egress,
    passkeys: {
      passkeys,
      findByCredentialId: (credentialId) => findPasskeyByCredentialId(reader, credentialId),
      findByUser: (userId) => findPasskeys(reader, userId),
      findOwner: (userId) => findPasskeyOwner(reader, userId),
    },
    clock,
    log,
  });
  const sessions = new SessionService({
    database,
    feed,
    audit,
    clock,
    cookies: sessionCookies,
    validitySeconds: authentication.session.validitySeconds,
  });
  const endSessions = (tx: Tx, userId: string) => sessions.endAll(tx, userId);
  const users = new UserService({ database, feed, audit, clock, endSessions });
  const flows = new Flows({ database, sealer, clock });
  const signIn = new SignInService({
    database,
    feed,
    audit,
    log,
    strategies,
    redirects: authentication,
    flows,
    flowLimits: new FlowLimits({
      counts: rates,
      clock,
      perIpv4Address: limits.begunFlowsPerIpv4AddressPerMinute,
      perIpv6Block: limits.begunFlowsPerIpv6BlockPerMinute,
      onLimit: (limit) => usedUp.add(limit),
    }),
    verifier: new AnswerVerifier({
      database,
      flows,
      clock,
      guesses: mailboxLimits,
      wrongCodesPerFlow: limits.wrongCodesPerFlow,
    }),
    accounts: new Accounts({
      signup: authentication.signup,
      adminEmails: config.adminEmails,
      clock,
      endSessions,
      forgetPasskeys: deletePasskeys,
      hasPasskey,
    }),
    onTakeOver: (takeOver) => {
      const { email, disabled } = takeOver;
      const mails = [{ to: email, ...toTakeOverNotice(siteName, takeOver) }];
      if (disabled.length > 0) {
        const notice = toOwnerlessNotice(siteName, email, disabled);
        mails.push(...config.adminEmails.map((to) => ({ to, ...notice })));
        log.warn(
          { organizations: disabled.map(({ id }) => id) },
          "an account was taken over by the owner of its mailbox; organizations without an owner are disabled",
        );
      }
      for (const mail of mails) {
        mailer
          .send(mail)
          .catch((err) => log.warn({ err }, "an account was taken over and a mail of it failed"));
      }
    },
    holdPasskey,
    sessions,
    findSession: (id) => findLiveSession(reader, id),
  });
  const browsers = createBrowsers({
    secure: config.publicUrl.startsWith("https:"),
    crossSite: authentication.session.sameSite === "none",
  });
  const browserSignIn = new BrowserSignIn({
    service: signIn,
    sessions,
    authenticator: sessionAuthenticator,
    cookies: sessionCookies,
    deviceHeaders: authentication.session.headers,
    browsers,
  });
  const pages = createPages({
    siteName,
    publicUrl: config.publicUrl,
    strategies,
    browserSignIn,
    authenticator: sessionAuthenticator,
    sessions,
    passkeys,
    identities,
    redirects: authentication,
    isSessionStrict: authentication.session.sameSite === "strict",
    browsers,
    hasOutbox: config.smtpUrl === undefined,
    clock,
    log,
  });
  const userMessages = new InvalidatedCache<UserMessage>({
    feed,
    topics: ["user"],
    maxEntries: cachedPrincipals,
  });
  // Frontdoors
  const frontdoorAccess = createFrontdoorAccess(reader, access);
  const providerTypes = createProviderTypes({
    publicUrl: config.publicUrl,
    egress,
    documents: createJsonCache({ egress, clock, log }),
    clock,
    clockSkewSeconds: authentication.clockSkewSeconds,
    apiKeys: { findApiKey: (providerId, keyHash) => findApiKey(reader, providerId, keyHash) },
    own: createOwnPrincipals({
      issuer: authentication.token.issuer,
      judges: { ...judges, session: sessionAuthenticator.authenticateCookie },
      findMemberships: (userId) => findEnabledMemberships(reader, userId),
    }),
  });
  const validator = createProviderValidator(providerTypes.list);
  const frontdoorParts = { database, feed, frontdoorAccess, audit, clock };
  const providerParts = { frontdoorAccess, audit, sealer, types: providerTypes, validator };
  const findOrganizationTenant = (orgId: string) => findTenant(reader, orgId);
  const providerWatch = new ProviderWatch({
    reader,
    feed,
    frontdoorAccess,
    findTenant: findOrganizationTenant,
  });

  const stopping = new AbortController();
  // Not behind the guard: a stream whose token expires has made one call, not a failed one.
  const authenticateStream = async (header: Headers) => {
    const principal = await principals.authenticate(header, "required", {});
    if (principal === undefined) throw new DomainError("NOT_AUTHENTICATED");
    return principal;
  };
  const auditRecords = new AuditService({
    reader,
    access,
    findTenant: findOrganizationTenant,
    clock,
    retentionSeconds: config.audit.retentionSeconds,
    onCommitted: (listener) => audit.onCommitted(listener),
    onDoubt: (listener) => feed.subscribe({ onChange: listener, onReset: listener }),
  });
  const services = [
    registerService(
      AuditServiceSchema,
      createAuditHandler({
        service: auditRecords,
        authenticate: authenticateStream,
        stopping: stopping.signal,
      }),
    ),
    registerService(AuthService, {
      ...createTokenMethods({
        grants,
        keyring,
        clearDeadSession: (header) => browserSignIn.clearDeadSession(header),
      }),
      ...createFlowMethods({
        service: signIn,
        browserSignIn,
        frontierHiddenStrategies: authentication.frontierHiddenStrategies,
      }),
      ...createWhoamiMethods({
        findUser: (userId) =>
          userMessages.get(userId, async (id) => {
            const found = await findUser(reader, id);
            return found && toUserMessage(found);
          }),
        findServiceUser: async (id) => {
          const found = await findServiceUser(reader, id);
          return found && toServiceUserMessage(found);
        },
      }),
      ...createSessionMethods({
        sessions,
        cookies: sessionCookies,
        deviceHeaders: authentication.session.headers,
      }),
      ...createPasskeyMethods(passkeys),
      ...createIdentityMethods(identities),
    }),
    registerService(
      ServiceUserServiceSchema,
      createServiceUserHandler({ serviceUsers, credentials, usage: usages }),
    ),
    registerService(
      OrganizationServiceSchema,
      createOrganizationHandler({ organizations, members, projects }),
    ),
    registerService(FrontierService, createFrontierHandler(organizations)),
    registerService(FrontdoorServiceSchema, {
      ...createFrontdoorMethods(new FrontdoorService({ ...frontdoorParts, access })),
      ...createFrontendMethods(new FrontendService(frontdoorParts)),
    }),
    registerService(FrontdoorAuthProviderService, {
      ...createProviderMethods({
        providers: new ProviderService({ ...frontdoorParts, ...providerParts }),
        lists: new ProviderList({ database, frontdoorAccess }),
      }),
      ...createTypeMethods({ frontdoorAccess, types: providerTypes }),
      ...createApiKeyMethods(new ApiKeyService(frontdoorParts)),
      ...createDryRunMethods(
        new DryRunService({
          ...providerParts,
          reader,
          findTenant: findOrganizationTenant,
          maxSeconds: Math.min(25, limits.requestTimeSeconds * 0.8),
        }),
        stopping.signal,
      ),
      ...createWatchMethods({
        watch: providerWatch,
        authenticate: authenticateStream,
        stopping: stopping.signal,
      }),
    }),
    registerService(UserServiceSchema, createUserHandler(users)),
  ];

  // Edge
  const health = createHealth();
  const admission = new Admission({ monotonicMs: () => performance.now() });
  const metrics = createMetrics();
  metrics.show(
    createFigures({
      health,
      admission,
      database,
      feed,
      audit,
      usage,
      mailer,
      keyring,
      limits: usedUp,
      fetches,
      swept,
      watch: providerWatch,
      caches: {
        credentials: serviceUserCaches.credentials,
        tokens: serviceUserCaches.tokens,
        service_users: serviceUserCaches.serviceUsers,
        organization_states: serviceUserCaches.organizationStates,
        sessions_by_secret: sessionCaches.byHash,
        sessions_by_id: sessionCaches.byId,
        user_messages: userMessages,
      },
      tracing,
      logOutput,
      clock,
    }),
  );
  const shutdown = new AbortController();
  const edge = createEdge({
    routes: [
      {
        method: "GET",
        path: oauthPaths.jwks,
        handle: createJwksHandler(keyring),
      },
      ...createOauthRoutes({
        proofs,
        judges,
        tokenIssuer,
        issuer: authentication.token.issuer,
        publicUrl: config.publicUrl,
        isMember: async (userId, orgId) => (await findMemberRole(reader, userId, orgId)) !== undefined,
        database,
        feed,
        revocations,
        deleteOpaqueToken: deleteCredential,
        deleteSession,
        audit,
        readBody: (request) => readBody(request, limits.bodyBytes),
      }),
      ...createCallbackRoutes({
        browserSignIn,
        authenticator: sessionAuthenticator,
        browsers,
        renderResult: pages.renderResult,
        navigate: pages.navigate,
        reload: pages.reload,
        publicUrl: config.publicUrl,
        providerUrls: authentication.oidcProviders.map(({ callbackUrl }) => callbackUrl),
        defaultReturnTo: `${config.publicUrl}/account`,
      }).map(pages.guard),
      ...createSchemaRoutes(providerTypes.list),
      ...pages.routes,
    ],
    lost: pages.renderLost,
    services,
    frontierMethods: listFrontierMethods(services),
    principals: guardedPrincipals,
    health,
    admission,
    metrics,
    log,
    tracing,
    clock,
    publicOrigin: config.publicUrl,
    allowedOrigins: config.cors.allowedOrigins,
    strictTransport: config.hsts,
    cookieCrossesSites: authentication.session.sameSite === "none",
    trustedProxies: config.trustedProxies,
    limits: { bodyBytes: limits.bodyBytes, requestSeconds: limits.requestTimeSeconds },
    shutdownSignal: shutdown.signal,
  });
  const listener = await listen({
    ...config.listen,
    ...(config.tls && { tls: { cert: Buffer.from(config.tls.cert), key: Buffer.from(config.tls.key) } }),
    handler: edge.handle,
    onConnection: () => admission.noteConnection(),
    onRefused: edge.noteRefused,
    limits: {
      headerBytes: limits.headerBytes,
      headerTimeoutMs: limits.headerTimeSeconds * 1000,
      requestTimeoutMs: limits.requestTimeSeconds * 1000,
    },
    log,
  });
  // Not before the port is ours: a credential made by a start that fails would never be shown.
  const generatedCredential = await ensureBootstrap({
    database,
    feed,
    audit,
    clock,
    configured: config.bootstrap,
  });
  const sweepTokens = oneAtATime(createTokenSweep(database, clock));
  const sweepSignIns = oneAtATime(async () => {
    for (const [kind, remove] of [
      ["flows", deleteExpiredFlows],
      ["sent_codes", deleteSentCodes],
      ["sessions", deleteExpiredSessions],
      [
        "limit_counts",
        (tx: Tx, now: Date, limit: number) => deleteStaleCounts(tx, now, limit, mailboxWindowMs),
      ],
      ["limit_counts", deleteForgottenClients],
    ] as const) {
      const removeBatch = (limit: number) => database.transaction((tx) => remove(tx, clock.now(), limit));
      swept.add(kind, await sweepInBatches(removeBatch));
    }
  });
  const sweepUsage = oneAtATime(() => usage.sweep());
  const sweepFrontdoors = oneAtATime(createFrontdoorSweep(database, clock));
  const maintenance = setInterval(() => {
    rotation
      .maintain()
      .catch((err) => log.error({ err }, "signing keys could not be maintained; will try again"));
    sweepTokens().catch((err) => log.error({ err }, "expired tokens could not be removed; will try again"));
    sweepSignIns().catch((err) =>
      log.error({ err }, "expired sign-ins could not be removed; will try again"),
    );
    sweepFrontdoors().catch((err) =>
      log.error({ err }, "old changes of auth providers could not be removed; will try again"),
    );
    void revocations.prune();
    sweepUsage().catch((err) => log.error({ err }, "old usage could not be removed; will try again"));
  }, maintenanceMs);
  auditRetention.start();
  await edge.warmUp();
  health.setServing(true);
  const endPresence = database.onPresence((isThere) => health.setServing(isThere));

  return {
    host: listener.host,
    port: listener.port,
    generatedCredential,
    async close(steps) {
      endPresence();
      health.setServing(false);
      listener.windDown();
      await sleep(Math.min(config.shutdown.graceSeconds * 1000, steps.leftMs));
      stopping.abort();
      clearInterval(maintenance);
      const drainMs = Math.max(0, Math.min(longestDrainMs, steps.leftMs - lastWritesMs));
      const cut = setTimeout(() => shutdown.abort(), drainMs);
      await steps.step("requests in flight", drainMs + 2 * toldMs, async () => {
        const cutOff = await listener.close(drainMs + toldMs);
        if (cutOff > 0) steps.giveUp(`${cutOff} connections`);
      });
      clearTimeout(cut);
      providerWatch.close();
      mailer.close();
      await steps.step("sign-ins", 2_000, () => signIn.drain());
      await Promise.all([
        steps.step("last uses of sessions", 2_000, () => sessionTouches.flush()),
        steps.step("usage of service users", 2_000, () => usage.close()),
        steps.step("counts of limits", 2_000, () => rates.close()),
        steps.step("clients known to be good", 2_000, () => goodClients.flush()),
        steps.step("audit retention", 2_000, () => auditRetention.close()),
      ]);
      await steps.step("audit records", 3_000, () => audit.close());
      await steps.step("change feed", 1_000, () => feed.stop());
    },
  };
}
