import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import {
  type User as UserMessage,
  type UserRequestBody,
  UserSchema,
} from "@vestibule/proto/vestibule/v1/user_pb";
import type { UserService as UserServiceSchema } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Avatars } from "../avatars/avatars.ts";
import { defaultPageSize } from "../lib/page-token.ts";
import { toOptionalStruct } from "../lib/proto.ts";
import { requireCaller } from "../principals/context.ts";
import type { UserPatch, UserService } from "./service.ts";
import type { User } from "./user.ts";

/** A user as answered. */
export function toUserMessage(user: User, avatars: Pick<Avatars, "show">): UserMessage {
  const metadata = toOptionalStruct(user.metadata);
  return create(UserSchema, {
    id: user.id,
    name: user.name,
    title: user.title,
    email: user.email,
    emailVerified: user.emailProven,
    createdAt: timestampFromDate(user.createdAt),
    updatedAt: timestampFromDate(user.updatedAt),
    state: user.state,
    avatar: avatars.show(user.avatar),
    ...(metadata && { metadata }),
  });
}

/** A user as answered to superusers. */
function toFullMessage(user: User, avatars: Pick<Avatars, "show">): UserMessage {
  return Object.assign(toUserMessage(user, avatars), { disabledReason: user.disabledReason ?? "" });
}

/** What a body says; what it leaves out stays as it is. */
function toPatch(body: UserRequestBody | undefined): UserPatch {
  const { name, email, title, avatar, metadata } = body ?? {};
  return {
    ...(name && { name: name.toLowerCase() }),
    ...(email !== undefined && { email }),
    ...(title !== undefined && { title }),
    ...(avatar !== undefined && { avatar }),
    ...(metadata !== undefined && { metadata }),
  };
}

/** The methods of `vestibule.v1.UserService` over the rules of this room; those about sessions are not here. */
export function createUserHandler(service: UserService, avatars: Pick<Avatars, "show">) {
  const toMessage = (user: User) => toFullMessage(user, avatars);
  return {
    async createUser({ body }, context) {
      return { user: toMessage(await service.create(requireCaller(context), toPatch(body))) };
    },
    async updateUser({ id, body }, context) {
      return { user: toMessage(await service.update(requireCaller(context), id, toPatch(body))) };
    },
    async listUsers(request, context) {
      const filter = {
        ...(request.email !== "" && { email: request.email }),
        ...(request.state !== "" && { state: request.state as User["state"] }),
        query: request.query.trim(),
      };
      const page = { size: request.pageSize || defaultPageSize, token: request.pageToken };
      const { items, nextPageToken } = await service.list(requireCaller(context), filter, page);
      return { users: items.map(toMessage), nextPageToken };
    },
    async getUser({ id }, context) {
      return { user: toMessage(await service.get(requireCaller(context), id)) };
    },
    async enableUser({ id }, context) {
      return { user: toMessage(await service.setState(requireCaller(context), id, "enabled")) };
    },
    async disableUser({ id, allowOwnerless, reason }, context) {
      const options = { allowsOwnerless: allowOwnerless, reason };
      const user = await service.setState(requireCaller(context), id, "disabled", options);
      return { user: toMessage(user) };
    },
    async deleteUser({ id }, context) {
      await service.delete(requireCaller(context), id);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof UserServiceSchema>>;
}

/** The method of AuthService by which people change their own profile. */
export function createProfileMethods(
  service: Pick<UserService, "updateOwn">,
  avatars: Pick<Avatars, "show">,
) {
  return {
    async updateCurrentUser({ body }, context) {
      const user = await service.updateOwn(requireCaller(context), toPatch(body));
      return { user: toUserMessage(user, avatars) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}
