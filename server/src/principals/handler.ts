import { create, isMessage } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AuthService,
  type GetCurrentUserResponse,
  GetCurrentUserResponseSchema,
} from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { ServiceUser as ServiceUserMessage } from "@vestibule/proto/vestibule/v1/service_user_pb";
import { type User as UserMessage, UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { keepEncoded } from "../lib/encoded-message.ts";
import { DomainError } from "../lib/errors.ts";
import { requirePrincipal } from "./context.ts";
import { toActor } from "./principal.ts";

/** Finds somebody by their id, as answered; undefined when they are gone. At once where they are in memory. */
type Find<M> = (id: string) => M | Promise<M | undefined>;

/** Where principals are found. Nobody changes the messages: as long as one is in memory, so is its answer. */
export interface WhoamiOptions {
  readonly findUser: Find<UserMessage>;
  readonly findServiceUser: Find<ServiceUserMessage>;
}

/** The method of AuthService that tells who is calling. */
export function createWhoamiMethods({ findUser, findServiceUser }: WhoamiOptions) {
  const answers = new WeakMap<UserMessage | ServiceUserMessage, GetCurrentUserResponse>();

  function toAnswer(found: UserMessage | ServiceUserMessage | undefined): GetCurrentUserResponse {
    if (found === undefined) throw new DomainError("USER_NOT_FOUND");
    const known = answers.get(found);
    if (known !== undefined) return known;
    const said = isMessage(found, UserSchema) ? { user: found } : { serviceuser: found };
    const answer = keepEncoded(create(GetCurrentUserResponseSchema, said));
    answers.set(found, answer);
    return answer;
  }

  return {
    getCurrentUser(_request, context) {
      const { type, id } = toActor(requirePrincipal(context));
      const finding = type === "user" ? findUser(id) : findServiceUser(id);
      return finding instanceof Promise ? finding.then(toAnswer) : toAnswer(finding);
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
