import { create } from "@bufbuild/protobuf";
import { createContextValues, type HandlerContext } from "@connectrpc/connect";
import { UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { expect, it } from "vitest";
import { principalKey } from "./context.ts";
import { createWhoamiMethods } from "./handler.ts";
import type { UserPrincipal } from "./principal.ts";

const person: UserPrincipal = {
  type: "user",
  id: "u",
  email: "ada@example.org",
  superuser: false,
  emailProven: true,
  sessionId: "s",
  authVia: "session",
  credentialKind: "session",
};
const context = { values: createContextValues().set(principalKey, person) } as unknown as HandlerContext;

it("makes one answer of whom it finds, and another as soon as it finds them otherwise", async () => {
  let found = create(UserSchema, { id: "u", title: "before" });
  const { getCurrentUser } = createWhoamiMethods({
    findUser: () => found,
    findServiceUser: () => Promise.reject(new Error("nobody asked for a machine")),
  });
  const before = await getCurrentUser({} as never, context);
  expect(await getCurrentUser({} as never, context)).toBe(before);
  found = create(UserSchema, { id: "u", title: "after" });
  expect((await getCurrentUser({} as never, context)).user?.title).toBe("after");
  expect(before.user?.title).toBe("before");
});

it("says that whoever is gone is not found", async () => {
  const { getCurrentUser } = createWhoamiMethods({
    findUser: () => Promise.resolve(undefined),
    findServiceUser: () => Promise.resolve(undefined),
  });
  await expect(getCurrentUser({} as never, context)).rejects.toMatchObject({ reason: "USER_NOT_FOUND" });
});
