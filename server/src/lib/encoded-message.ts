import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";

const encodings = new WeakMap<object, Uint8Array>();

/** Encodes a message that is answered again and again, once. It must not be changed any more. */
export function keepEncoded<D extends DescMessage>(schema: D, message: MessageShape<D>): MessageShape<D> {
  encodings.set(message, toBinary(schema, message));
  return message;
}

/** The bytes of a message that was encoded by {@link keepEncoded}. */
export function findEncoded(message: object): Uint8Array | undefined {
  return encodings.get(message);
}
