import { writeCaddyFiles } from "./caddy.ts";
import { writeEnvoyGrpcFiles, writeEnvoyHttpFiles } from "./envoy.ts";
import { writeHaproxyFiles } from "./haproxy.ts";
import { writeNginxFiles } from "./nginx.ts";
import { writeTraefikFiles } from "./traefik.ts";
import { checkValues, type ProxyFile, type ProxyFileValues } from "./values.ts";

const writers = {
  nginx: writeNginxFiles,
  caddy: writeCaddyFiles,
  haproxy: writeHaproxyFiles,
  traefik: writeTraefikFiles,
  "envoy-http": writeEnvoyHttpFiles,
  "envoy-grpc": writeEnvoyGrpcFiles,
} as const;

/** A proxy, and of Envoy the way that it asks. */
export type ProxyKind = keyof typeof writers;

/** Every kind, in the order the documentation has them. */
export const proxyKinds = Object.keys(writers) as readonly ProxyKind[];

/** The files for a proxy. @throws Error naming the first value that cannot be written into one */
export function writeProxyFiles(kind: ProxyKind, values: ProxyFileValues): readonly ProxyFile[] {
  return writers[kind](checkValues(values));
}
