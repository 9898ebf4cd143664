import { create, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { expect, it } from "vitest";
import { encode, keepEncoded } from "./encoded-message.ts";

const toBytes = (message: Message) => toBinary(UserSchema, message as never);
const toText = (message: Message) => toJsonString(UserSchema, message as never);

it("encodes what is kept once for each form, and what is like it every time", () => {
  const message = keepEncoded(create(UserSchema, { id: "1" }));
  const bytes = encode(message, "binary", toBytes);
  expect(bytes).toEqual(toBytes(message));
  expect(encode(message, "json", toText)).toBe(toText(message));
  expect(encode(message, "binary", toBytes)).toBe(bytes);
  const like = create(UserSchema, { id: "1" });
  expect(encode(like, "binary", toBytes)).not.toBe(encode(like, "binary", toBytes));
});
