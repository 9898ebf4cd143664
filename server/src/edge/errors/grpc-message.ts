/**
 * Percent-encodes a text for `grpc-message`: what is printable in ASCII stays as
 * it is but for the percent sign, for many clients show the header as it comes
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses).
 */
export function encodeGrpcMessage(text: string): string {
  return text.toWellFormed().replace(/[^ -$&-~]+/g, encodeURIComponent);
}

/** Has a trailer take `grpc-message` by that rule of the library too, which escapes all that an address would. */
export function plainGrpcMessage(trailer: Headers): void {
  const set = (name: string, value: string) =>
    Headers.prototype.set.call(trailer, name, toPlain(name, value));
  Object.assign(trailer, { set });
}

function toPlain(name: string, value: string): string {
  return name.toLowerCase() === "grpc-message" ? encodeGrpcMessage(decodeURIComponent(value)) : value;
}
