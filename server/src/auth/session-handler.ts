import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { ServiceUser as ServiceUserMessage } from "@vestibule/proto/vestibule/v1/service_user_pb";
import {
  type Session_Meta as MetaMessage,
  Session_MetaSchema,
  type Session as SessionMessage,
  SessionSchema,
} from "@vestibule/proto/vestibule/v1/session_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { DomainError } from "../lib/errors.ts";
import { requireCaller, requirePrincipal } from "../principals/context.ts";
import type { Principal } from "../principals/principal.ts";
import type { SessionService } from "../sessions/service.ts";
import type { Device, Session } from "../sessions/session.ts";
import { toWebRequest } from "./flow-handler.ts";
import type { SignInWeb } from "./web.ts";

export interface SessionMethodsOptions {
  readonly sessions: SessionService;
  readonly web: Pick<SignInWeb, "readDevice" | "toClearCookies">;
  /** The user of an id, as answered; undefined when they are gone. */
  readonly findUser: (id: string) => Promise<UserMessage | undefined>;
  /** The service user of an id, as answered; undefined when it is gone. */
  readonly findServiceUser: (id: string) => Promise<ServiceUserMessage | undefined>;
}

/** Device and place as answered. */
export function toMetaMessage(device: Device): MetaMessage {
  const { operatingSystem, browser, ipAddress, ...location } = device;
  const hasLocation = Object.values(location).some((text) => text !== "");
  return create(Session_MetaSchema, {
    operatingSystem,
    browser,
    ipAddress,
    ...(hasLocation && { location }),
  });
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

/** The methods of AuthService about who is calling, and about a person's sessions. */
export function createSessionMethods(options: SessionMethodsOptions) {
  const { sessions, web, findUser, findServiceUser } = options;
  return {
    async getCurrentUser(_request, context) {
      const { type, id } = requirePrincipal(context);
      const user = type === "user" ? await findUser(id) : undefined;
      const serviceuser = type === "serviceuser" ? await findServiceUser(id) : undefined;
      if (user !== undefined) return { user };
      if (serviceuser !== undefined) return { serviceuser };
      throw new DomainError("USER_NOT_FOUND");
    },
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
      const revoked = await sessions.revokeAll(requireCaller(context), keepCurrent);
      if (!keepCurrent) {
        for (const line of web.toClearCookies()) context.responseHeader.append("set-cookie", line);
      }
      return { revoked };
    },
    async pingUserSession(_request, context) {
      const device = web.readDevice(toWebRequest(context));
      return { metadata: toMetaMessage(await sessions.ping(requireCaller(context), device)) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
