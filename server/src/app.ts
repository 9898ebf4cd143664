/**
 * The composition root: names the rooms, from the bottom up, and hands each
 * what it stands on. How a room is built, what of it is served, counted, looked
 * after and closed is in its own `assemble.ts`.
 */
import { assembleAccounts } from "./accounts/assemble.ts";
import { House } from "./assembly/house.ts";
import { assembleAudit } from "./audit/assemble.ts";
import { strikeOut } from "./audit/strike-out.ts";
import { assembleSignIn } from "./auth/assemble.ts";
import { deleteFlowsOf } from "./auth/flow-store.ts";
import { assembleAvatars } from "./avatars/assemble.ts";
import { assembleBackup } from "./backup/assemble.ts";
import { assembleChanges } from "./changes/assemble.ts";
import type { Config } from "./config/config.ts";
import { toSiteName } from "./config/site-name.ts";
import { assembleDatabase } from "./db/assemble.ts";
import { assembleEgress } from "./egress/assemble.ts";
import { assembleFrontdoor } from "./frontdoor/assemble.ts";
import { assembleGate, type GateParts } from "./gate/assemble.ts";
import { findConfirmations, forgetConfirmations, readFrontendSessions } from "./gate/sessions/of-people.ts";
import { assembleInvitations } from "./invitations/assemble.ts";
import type { Clock } from "./lib/clock.ts";
import type { Log } from "./lib/log.ts";
import { unknownRequest } from "./lib/request.ts";
import type { Siblings } from "./lib/siblings.ts";
import type { Tracing } from "./lib/tracing.ts";
import { assembleLimits } from "./limits/assemble.ts";
import { assembleMail } from "./mail/assemble.ts";
import { assembleOrganizations } from "./organizations/assemble.ts";
import { assemblePages } from "./pages/assemble.ts";
import { assemblePasskeys } from "./passkeys/assemble.ts";
import { assemblePersonalTokens } from "./personal-tokens/assemble.ts";
import { assemblePrincipals } from "./principals/assemble.ts";
import { assembleServiceUsers } from "./service-users/assemble.ts";
import { type App, serve } from "./serving.ts";
import { assembleSessions } from "./sessions/assemble.ts";
import { isRecentSignIn } from "./sessions/session.ts";
import type { Storage } from "./storage.ts";
import { assembleTokens } from "./tokens/assemble.ts";
import { assembleGrants } from "./tokens/assemble-grants.ts";
import { assembleUsers } from "./users/assemble.ts";
import { hasWayInWithoutPasskey } from "./users/identity-service.ts";
import { findUser, findUserByEmail } from "./users/store.ts";
import { requireNoUndo } from "./users/undo.ts";

/** What a server is built from: its settings, its opened storage, and what tests replace. */
export interface AppOptions {
  readonly config: Config;
  readonly storage: Storage;
  readonly log: Log;
  readonly clock: Clock;
  /** Absent when traces are off. */
  readonly tracing?: Tracing | undefined;
  /** Where the lines of the log go; absent, none is ever lost. */
  readonly logOutput?: { readonly lostCount: number };
  /** The other processes that serve the same port, if there are any. */
  readonly siblings?: Siblings | undefined;
  /** Waits between tries of a mail and probes of its server; rejects when aborted. For tests, which have less time. */
  readonly waitForMail?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Builds the server over its storage and opens the port. */
export async function createApp(options: AppOptions): Promise<App> {
  const { config, storage, log, clock, tracing, siblings, logOutput = { lostCount: 0 } } = options;
  const house = new House();
  const stopping = new AbortController();
  const { principals, renderLost, ensureBootstrap } = await addRooms(house, options, stopping.signal);
  return await serve({
    house,
    config,
    database: storage.database,
    principals,
    lost: renderLost,
    // Not before the port is ours: a credential made by a start that fails would never be shown.
    onListening: () => ensureBootstrap(config.bootstrap),
    stopping,
    log,
    clock,
    tracing,
    logOutput,
    siblings,
  });
}

/** Adds what the nouns stand on: the database, limits, mail, and the way out. */
async function addGround(house: House, options: AppOptions, siteName: string) {
  const { config, storage, log, clock, tracing } = options;
  const { database, feed, audit } = storage;
  const { limits, authentication } = config;
  house.add(assembleDatabase(database));
  house.add(assembleBackup({ database }));
  house.add(await assembleChanges(feed));
  const { guard, failures, rates, mailboxLimits } = house.add(
    await assembleLimits({ database, audit, clock, log, limits }),
  );
  const { mailer, notifier } = house.add(
    await assembleMail({
      settings: config,
      siteName,
      clock,
      log,
      tracing,
      wait: options.waitForMail,
      onFail: ({ to: mailbox, askedBy = unknownRequest }, failure) =>
        audit.refuse(askedBy, { action: "mail.fail", mailbox, ...failure }),
    }),
  );
  const { oidcProviders } = authentication;
  const { egress, documents } = house.add(
    assembleEgress({ egress: config.egress, oidcProviders, clock, log, tracing }),
  );
  return {
    guard,
    failures,
    flowLimits: rates.address_flows,
    explanations: rates.explanations,
    mailboxLimits,
    mailer,
    notifier,
    egress,
    documents,
  };
}

type Ground = Awaited<ReturnType<typeof addGround>>;

/** Adds who there is: organizations, the machines and the people in them. */
function addPrincipals(house: House, options: AppOptions, { notifier, mailer }: Ground, siteName: string) {
  const { config, storage, log, clock } = options;
  const { database, feed, audit, secrets } = storage;
  const { publicUrl, adminEmails, limits, authentication } = config;
  const { avatars } = house.add(assembleAvatars({ database, clock, publicUrl }));
  const ground = { database, feed, audit, avatars, clock, log };
  const { creation } = config.organizations;
  const organizations = house.add(assembleOrganizations({ ...ground, limits, creation }));
  const serviceUsers = house.add(
    assembleServiceUsers({
      ...ground,
      access: organizations.access,
      lifetimes: authentication.credentials,
      findOrganizationState: organizations.findState,
    }),
  );
  const people = house.add(
    assembleSessions({
      ...ground,
      session: authentication.session,
      secrets,
      publicUrl,
      adminEmails,
      isUser: async (id) => (await findUser(database.reader, id)) !== undefined,
      onRevoke: notifier.tellOfEndedSessions,
      findUserByEmail,
    }),
  );
  const passkeys = house.add(
    assemblePasskeys({
      ...ground,
      holdSession: people.hold,
      hasOtherWayIn: hasWayInWithoutPasskey,
      requireRemovable: (tx, userId, since) => requireNoUndo(tx, userId, clock.now(), since),
      notify: notifier.tellOfPasskey,
    }),
  );
  const users = house.add(
    assembleUsers({
      ...ground,
      signup: authentication.signup,
      adminEmails,
      endSessions: (tx, userId) => people.sessions.endAll(tx, userId),
      forgetPasskeys: passkeys.deleteAll,
      forgetConfirmations,
      endFlows: deleteFlowsOf,
      strikeOut: (tx, person) => strikeOut(tx, storage.mailboxes, person),
      hasPasskey: passkeys.hasPasskey,
      onUnlink: notifier.tellOfUnlinking,
      onEmailChange: notifier.tellOfEmailChange,
    }),
  );
  const personalTokens = house.add(
    assemblePersonalTokens({
      ...ground,
      ...config.pats,
      access: organizations.access,
      isRecent: async (id) => {
        const session = await people.find(id);
        return session !== undefined && isRecentSignIn(session.authenticatedAt, clock.now());
      },
      holdSession: people.hold,
      onUnused: notifier.tellOfUnusedToken,
    }),
  );
  const { invitations } = house.add(
    assembleInvitations({
      ...ground,
      access: organizations.access,
      limits,
      adminEmails,
      validitySeconds: config.invitations.validitySeconds,
      mailer,
      publicUrl,
      siteName,
    }),
  );
  return { organizations, serviceUsers, people, passkeys, users, personalTokens, invitations };
}

/** Adds how people come in, and what they do to their own accounts. */
function addSignIn(
  house: House,
  { config, storage, log, clock }: AppOptions,
  means: Ground,
  nouns: ReturnType<typeof addPrincipals>,
  siteName: string,
) {
  const { people, passkeys, users, organizations, personalTokens, invitations } = nouns;
  const { publicUrl, limits, authentication } = config;
  const { database, feed, audit, sealer } = storage;
  const { wrongCodesPerFlow } = limits;
  const { sessions, cookies, knownBrowsers, authenticator, find: findSession } = people;
  const common = {
    ...{ database, feed, audit, clock, log, sealer },
    ...means,
    ...{ authentication, publicUrl, siteName, wrongCodesPerFlow },
    ...{ sessions, cookies, knownBrowsers, authenticator, findSession },
    accounts: users.accounts,
  };
  const signIn = house.add(
    assembleSignIn({
      ...common,
      passkeys,
      holdPasskey: passkeys.hold,
      onTakeOver: means.notifier.tellOfTakeOver,
      onMove: means.notifier.tellOfProviderMove,
    }),
  );
  const accounts = house.add(
    assembleAccounts({
      ...common,
      browsers: signIn.browsers,
      signInMail: signIn.signInMail,
      holdSession: people.hold,
      endFlows: deleteFlowsOf,
      strikeOut: (tx, person) => strikeOut(tx, storage.mailboxes, person),
      forgetPasskeys: passkeys.deleteAll,
      passkeys: passkeys.passkeys,
      identities: users.identities,
      members: organizations.rules.members,
      invitations,
      removePersonalTokens: personalTokens.removeAllOf,
      listPersonalTokens: personalTokens.listOf,
      readFrontendSessions,
      findConfirmations,
      toUserMessage: users.toMessage,
    }),
  );
  return { signIn, accounts };
}

/** Adds the gate. @param parts what it takes of other rooms */
function addGate(
  house: House,
  { config, storage, log, clock }: AppOptions,
  parts: Omit<GateParts, keyof ReturnType<typeof toGateSettings> | keyof Storage | "log" | "clock">,
) {
  const { database, feed, audit, sealer } = storage;
  return house.add(
    assembleGate({ ...toGateSettings(config), ...parts, database, feed, audit, sealer, log, clock }),
  );
}

function toGateSettings({ publicUrl, trustedProxies, gate, authentication }: Config) {
  return {
    publicUrl,
    trustedProxies,
    tellsReasons: gate.reasonHeader,
    deviceHeaders: authentication.session.headers,
    isSessionStrict: authentication.session.sameSite === "strict",
  };
}

/**
 * Adds all rooms, each after those that it stands on.
 *
 * @param stopping aborts when the server begins to stop.
 */
async function addRooms(house: House, options: AppOptions, stopping: AbortSignal) {
  const { config, storage, log, clock } = options;
  const { database, feed, audit, sealer, rotation } = storage;
  const { publicUrl, limits, authentication } = config;
  const siteName = toSiteName(config);
  const ground = { database, feed, audit, clock, log };
  const means = await addGround(house, options, siteName);
  const nouns = addPrincipals(house, options, means, siteName);
  const { organizations, serviceUsers, people, passkeys, users, personalTokens, invitations } = nouns;
  const { access, findTenant } = organizations;
  const { sessions, cookies, knownBrowsers, authenticator } = people;
  const { signIn, accounts } = addSignIn(house, options, means, nouns, siteName);
  const { browserSignIn, strategies, browsers } = signIn;
  const tokens = house.add(
    await assembleTokens({
      ...ground,
      sealer,
      rotation,
      authentication,
      publicUrl,
      assertionKeys: serviceUsers.assertionKeys,
      subjects: { ...serviceUsers.subjects, ...people.subjects, ...personalTokens.subjects },
    }),
  );
  const findSessionCookies = authenticator.findCookies;
  const { judge, guarded, chain } = house.add(
    assemblePrincipals({
      judges: { ...serviceUsers.judges, ...people.judges, ...personalTokens.judges, ...tokens.judges },
      guard: means.guard,
      findSessionCookies,
      findUser: users.findMessage,
      findServiceUser: serviceUsers.findMessage,
    }),
  );
  house.add(
    assembleGrants({
      ...ground,
      authentication,
      publicUrl,
      bodyBytes: limits.bodyBytes,
      tokens,
      judge,
      guarded,
      findSessionCookies,
      isMember: organizations.isMember,
      ...organizations.claimed,
      findVisibleProject: organizations.findVisibleProject,
      deleteOpaqueToken: serviceUsers.deleteCredential,
      deletePersonalToken: personalTokens.delete,
      deleteSession: people.delete,
      clearDeadSession: (header) => browserSignIn.clearDeadSession(header),
    }),
  );
  const streams = { authenticate: chain.authenticateAgain, stopping, findTenant };
  house.add(
    assembleAudit({
      ...ground,
      ...streams,
      access,
      mailboxes: storage.mailboxes,
      retentionSeconds: config.audit.retentionSeconds,
      onDoubt: (listener) => feed.subscribe({ onChange: listener, onReset: listener }),
    }),
  );
  const { types, proxies, frontdoorAccess, draftFrontend, openProvider } = house.add(
    assembleFrontdoor({
      ...ground,
      ...streams,
      access,
      sealer,
      publicUrl,
      egress: means.egress,
      documents: means.documents,
      clockSkewSeconds: authentication.clockSkewSeconds,
      issuer: authentication.token.issuer,
      judge,
      judgeSession: authenticator.authenticateSession,
      findMemberships: organizations.findMemberships,
      findOrganizationNames: organizations.findNames,
      findManagedIds: organizations.findManagedIds,
      holdManagedIds: organizations.holdManagedIds,
      requestSeconds: limits.requestTimeSeconds,
    }),
  );
  const { gateSessions } = addGate(house, options, {
    types,
    isProxyToken: proxies.isGood,
    frontdoorAccess,
    draftFrontend,
    findOrganizationState: organizations.findState,
    findOrganizationTitle: organizations.findTitle,
    isMember: organizations.isMember,
    rate: means.explanations,
    flowLimits: means.flowLimits,
    failures: means.failures,
    sign: tokens.sign,
    answerJwks: tokens.answerJwks,
    siteName,
    isOwnSession: (cookie) => cookies.decode(cookie) !== undefined,
    authenticator,
    browsers,
    findSession: people.find,
    openProvider,
  });
  const { renderLost } = house.add(
    assemblePages({
      ...ground,
      siteName,
      publicUrl,
      strategies,
      browserSignIn,
      authenticator,
      sessions,
      gateSessions,
      knownBrowsers,
      passkeys: passkeys.passkeys,
      identities: users.identities,
      profiles: users.users,
      ...accounts,
      ...organizations.rules,
      invitations,
      personalTokens: personalTokens.tokens,
      redirects: authentication,
      isSessionStrict: authentication.session.sameSite === "strict",
      browsers,
      hasOutbox: config.smtpUrl === undefined,
    }),
  );
  const { ensureBootstrap } = serviceUsers;
  return { principals: chain, renderLost, ensureBootstrap };
}
