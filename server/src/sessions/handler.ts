import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { type Session as SessionMessage, SessionSchema } from "@vestibule/proto/vestibule/v1/session_pb";
import type { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { SessionHeadersConfig } from "../config/config.ts";
import { requestInfoKey } from "../lib/request.ts";
import { requireCaller } from "../principals/context.ts";
import type { Principal } from "../principals/principal.ts";
import type { SessionCookies } from "./cookie.ts";
import { readDevice } from "./device.ts";
import type { KnownBrowsers } from "./known-browsers.ts";
import { toMetaMessage } from "./messages.ts";
import type { SessionService } from "./service.ts";
import type { Session } from "./session.ts";

/** Parts that the methods about sessions call. */
export interface SessionMethodsOptions {
  readonly sessions: SessionService;
  readonly cookies: Pick<SessionCookies, "toClearCookies">;
  readonly knownBrowsers: Pick<KnownBrowsers, "readKeys">;
  readonly deviceHeaders: SessionHeadersConfig;
}

function toSessionMessage(session: Session, principal: Principal): SessionMessage {
  return create(SessionSchema, {
    id: session.id,
    metadata: toMetaMessage(session.device),
    isCurrentSession: principal.type === "user" && principal.sessionId === session.id,
    createdAt: timestampFromDate(session.createdAt),
    updatedAt: timestampFromDate(session.updatedAt),
    expiresAt: timestampFromDate(session.expiresAt),
  });
}

/** The methods of AuthService about a person's sessions. */
export function createSessionMethods(options: SessionMethodsOptions) {
  const { sessions, cookies, knownBrowsers, deviceHeaders } = options;
  return {
    async listSessions(_request, context) {
      const caller = requireCaller(context);
      const found = await sessions.list(caller);
      return { sessions: found.map((session) => toSessionMessage(session, caller.principal)) };
    },
    async revokeSession({ sessionId }, context) {
      await sessions.revoke(requireCaller(context), sessionId);
      return {};
    },
    async revokeAllSessions({ keepCurrent }, context) {
      const browserKeys = knownBrowsers.readKeys(context.requestHeader);
      const revoked = await sessions.revokeAll(requireCaller(context), keepCurrent, browserKeys);
      if (!keepCurrent) {
        for (const line of cookies.toClearCookies()) context.responseHeader.append("set-cookie", line);
      }
      return { revoked };
    },
    async pingUserSession(_request, context) {
      const info = context.values.get(requestInfoKey);
      const device = readDevice(deviceHeaders, context.requestHeader, info);
      return { metadata: toMetaMessage(await sessions.ping(requireCaller(context), device)) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}

/** The methods of UserService about anybody's sessions. */
export function createUserSessionMethods(sessions: SessionService) {
  return {
    async listUserSessions({ userId }, context) {
      const caller = requireCaller(context);
      const found = await sessions.listOf(caller, userId);
      return { sessions: found.map((session) => toSessionMessage(session, caller.principal)) };
    },
    async revokeUserSession({ sessionId }, context) {
      await sessions.revokeAny(requireCaller(context), sessionId);
      return {};
    },
    async revokeAllUserSessions({ userId }, context) {
      return { revoked: await sessions.revokeAllOf(requireCaller(context), userId) };
    },
  } satisfies Partial<ServiceImpl<typeof UserService>>;
}
