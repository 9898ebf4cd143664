import { create, toBinary } from "@bufbuild/protobuf";
import { UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { expect, it } from "vitest";
import { findEncoded, keepEncoded } from "./encoded-message.ts";

it("has the bytes of what is kept, and of nothing that is like it", () => {
  const kept = keepEncoded(UserSchema, create(UserSchema, { id: "1" }));
  expect(findEncoded(kept)).toEqual(toBinary(UserSchema, kept));
  expect(findEncoded(create(UserSchema, { id: "1" }))).toBeUndefined();
});
