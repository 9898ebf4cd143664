import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { toStruct } from "../lib/proto.ts";
import { requestInfoKey } from "../lib/request.ts";
import { requireCaller } from "../principals/context.ts";
import type { SessionCookies } from "../sessions/cookie.ts";
import type { User } from "../users/user.ts";
import type { AccountDeletion } from "./deletion.ts";
import type { EmailChange } from "./email-change.ts";
import type { EmailUndo } from "./email-undo.ts";
import type { AccountExport } from "./export.ts";

/** Parts that the methods about one's own account call. */
export interface AccountMethodsOptions {
  readonly emailChange: EmailChange;
  readonly emailUndo: EmailUndo;
  /** A user as answered. */
  readonly toUserMessage: (user: User) => UserMessage;
  readonly deletion: AccountDeletion;
  readonly accountExport: AccountExport;
  readonly cookies: Pick<SessionCookies, "toClearCookies">;
}

function setCookies({ responseHeader }: HandlerContext, cookies: readonly string[]): void {
  for (const cookie of cookies) responseHeader.append("set-cookie", cookie);
  responseHeader.set("cache-control", "no-store");
}

/** The methods of AuthService about one's own account. */
export function createAccountMethods(options: AccountMethodsOptions) {
  const { emailChange, emailUndo, deletion, accountExport, cookies, toUserMessage } = options;
  return {
    async beginEmailChange({ email }, context) {
      const begun = await emailChange.begin(requireCaller(context), email, context.requestHeader);
      setCookies(context, begun.setCookies);
      return { state: begun.state };
    },
    async finishEmailChange({ state, code }, context) {
      const answered = { state, code };
      const finished = await emailChange.finish(requireCaller(context), answered, context.requestHeader);
      setCookies(context, finished.setCookies);
      return { user: toUserMessage(finished.user) };
    },
    async deleteCurrentUser(_request, context) {
      await deletion.delete(requireCaller(context));
      setCookies(context, cookies.toClearCookies());
      return {};
    },
    async *exportCurrentUser(_request, context) {
      const items = await accountExport.begin(requireCaller(context));
      for await (const { kind, item } of items) yield { kind, item: toStruct(item) };
    },
    async undoEmailChange({ token }, context) {
      return { email: await emailUndo.undo(token, context.values.get(requestInfoKey)) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
