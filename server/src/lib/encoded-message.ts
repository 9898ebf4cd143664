/**
 * Messages that are answered again and again: each is encoded once for every
 * form in which it is asked for, and goes with the message.
 */
import type { Message } from "@bufbuild/protobuf";

/** Of what is kept, by form. */
const kept = new WeakMap<Message, Map<string, string | Uint8Array>>();

/** Has a message encoded once. It must not be changed any more. */
export function keepEncoded<M extends Message>(message: M): M {
  kept.set(message, new Map());
  return message;
}

/** What `encode` makes of a message, made once for each form of one that {@link keepEncoded} has seen. */
export function encode<T extends string | Uint8Array>(
  message: Message,
  form: string,
  encode: (message: Message) => T,
): T {
  const encodings = kept.get(message);
  if (encodings === undefined) return encode(message);
  const known = encodings.get(form);
  if (known !== undefined) return known as T;
  const made = encode(message);
  encodings.set(form, made);
  return made;
}
