/**
 * Whether a caller may know more of the schema than we do. Generated clients
 * send fields that a newer schema has, and an older server drops them, as
 * Protobuf means it. Whoever writes JSON by hand has the schema that is
 * documented here: to him a field that is dropped is a slip of the pen that
 * nobody tells him of.
 */
import type { DescService } from "@bufbuild/protobuf";
import { findHeader, type NodeRequest, toRawQuery } from "../../http/node-http.ts";

/** Whether a service goes by a name of ours: under Frontier's unknown fields are dropped, as Frontier does. */
export function isOwnSchema({ file }: DescService): boolean {
  return file.proto.package === "vestibule.v1";
}

/**
 * Whether a generated client sends this: it says the version of its protocol
 * (https://connectrpc.com/docs/protocol), or speaks gRPC.
 */
export function mayBeNewer(request: NodeRequest): boolean {
  const { headers, method, url } = request;
  if (headers["connect-protocol-version"] !== undefined) return true;
  if (method === "GET") return new URLSearchParams(toRawQuery(url)).has("connect");
  return /^application\/grpc/i.test(findHeader(request, "content-type") ?? "");
}
