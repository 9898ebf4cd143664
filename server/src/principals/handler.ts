import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { ServiceUser as ServiceUserMessage } from "@vestibule/proto/vestibule/v1/service_user_pb";
import type { User as UserMessage } from "@vestibule/proto/vestibule/v1/user_pb";
import { DomainError } from "../lib/errors.ts";
import { requirePrincipal } from "./context.ts";
import { toActor } from "./principal.ts";

/** Where principals are found by their ids, as answered; undefined when they are gone. */
export interface WhoamiOptions {
  readonly findUser: (id: string) => Promise<UserMessage | undefined>;
  readonly findServiceUser: (id: string) => Promise<ServiceUserMessage | undefined>;
}

/** The method of AuthService that tells who is calling. */
export function createWhoamiMethods({ findUser, findServiceUser }: WhoamiOptions) {
  return {
    async getCurrentUser(_request, context) {
      const { type, id } = toActor(requirePrincipal(context));
      const user = type === "user" ? await findUser(id) : undefined;
      const serviceuser = type === "serviceuser" ? await findServiceUser(id) : undefined;
      if (user !== undefined) return { user };
      if (serviceuser !== undefined) return { serviceuser };
      throw new DomainError("USER_NOT_FOUND");
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
