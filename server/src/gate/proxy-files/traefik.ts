import { stringify } from "yaml";
import {
  identityHeaders,
  listCopiedHeaders,
  ownPages,
  type ProxyFile,
  type ProxyFileValues,
  toGatePath,
  toHostPattern,
  toServerName,
} from "./values.ts";

/** For Traefik 3: what its file provider reads. */
export function writeTraefikFiles(values: ProxyFileValues): ProxyFile[] {
  const { gate, upstream, scheme, assertionHeader } = values;
  const host = toRule(values);
  const pages = ownPages.map((page) => `Path(\`/.vestibule/${page}\`)`).join(" || ");
  const tls = scheme === "https" ? { tls: {} } : {};
  const cleared = [...identityHeaders, ...(assertionHeader === undefined ? [] : [assertionHeader])];
  const document = {
    http: {
      routers: {
        app: { rule: host, service: "app", middlewares: ["vestibule-proxy", "vestibule-gate"], ...tls },
        "vestibule-pages": {
          rule: `${host} && (${pages})`,
          service: "vestibule",
          middlewares: ["vestibule-proxy", "vestibule-pages"],
          ...tls,
        },
      },
      middlewares: {
        "vestibule-proxy": {
          headers: {
            customRequestHeaders: {
              "X-Vestibule-Proxy-Token": values.proxyToken,
              ...Object.fromEntries(cleared.map((header) => [header, ""])),
            },
          },
        },
        "vestibule-gate": {
          forwardAuth: {
            address: `http://${gate}${toGatePath(values, "forward-auth")}`,
            trustForwardHeader: false,
            authResponseHeaders: [...listCopiedHeaders(values), "X-Vestibule-Proxy-Token"],
          },
        },
        "vestibule-pages": {
          replacePathRegex: {
            regex: "^/\\.vestibule/(.*)$",
            replacement: toGatePath(values, "browser/$1"),
          },
        },
      },
      services: {
        app: { loadBalancer: { servers: [{ url: `http://${upstream}` }] } },
        vestibule: { loadBalancer: { servers: [{ url: `http://${gate}` }] } },
      },
    },
  };
  const head = `# ${values.hostname} behind the gate of frontdoor ${values.frontdoorId}: for Traefik's file provider.
#
# \`vestibule-gate\` stays the last middleware of the router: what changes a path
# before or after it, StripPrefix for one, sends what was not judged.

`;
  return [{ name: "traefik.yaml", text: head + stringify(document, { lineWidth: 0 }) }];
}

function toRule(values: ProxyFileValues): string {
  return values.hostname.startsWith("*.")
    ? `HostRegexp(\`^${toHostPattern(values)}$\`)`
    : `Host(\`${toServerName(values)}\`)`;
}
