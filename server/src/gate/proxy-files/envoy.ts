import { stringify } from "yaml";
import {
  identityHeaders,
  listCopiedHeaders,
  ownPages,
  type ProxyFile,
  type ProxyFileValues,
  toGatePath,
} from "./values.ts";

/** For Envoy, asking by HTTP: a configuration it starts with. */
export function writeEnvoyHttpFiles(values: ProxyFileValues): ProxyFile[] {
  const filter = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    http_service: {
      server_uri: { uri: `http://${values.gate}`, cluster: "vestibule", timeout: "10s" },
      path_prefix: toGatePath(values, "envoy"),
      authorization_request: {
        headers_to_add: [{ key: "x-vestibule-proxy-token", value: values.proxyToken }],
      },
      authorization_response: {
        allowed_upstream_headers: { patterns: listCopiedHeaders(values).map(toExact) },
        allowed_client_headers: { patterns: deniedHeaders.map(toExact) },
      },
    },
    allowed_headers: {
      patterns: [...[...askedHeaders, ...values.keyHeaders].map(toExact), ...listLookalikes(values)],
    },
    ...closed,
  };
  return [{ name: "envoy-http.yaml", text: writeBootstrap(values, filter, { http2: false }) }];
}

/** For Envoy, asking by gRPC: a configuration it starts with. */
export function writeEnvoyGrpcFiles(values: ProxyFileValues): ProxyFile[] {
  const filter = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    transport_api_version: "V3",
    grpc_service: {
      envoy_grpc: { cluster_name: "vestibule" },
      timeout: "10s",
      initial_metadata: [{ key: "x-vestibule-proxy-token", value: values.proxyToken }],
    },
    encode_raw_headers: true,
    ...closed,
  };
  return [{ name: "envoy-grpc.yaml", text: writeBootstrap(values, filter, { http2: true }) }];
}

/** Whatever goes wrong, nobody comes in. */
const closed = {
  failure_mode_allow: false,
  validate_mutations: true,
  status_on_error: { code: "ServiceUnavailable" },
  clear_route_cache: false,
};

/** What the gate reads of a request, beside what Envoy always sends. */
const askedHeaders = [
  "cookie",
  "accept",
  "origin",
  "access-control-request-method",
  "content-type",
  "upgrade",
  "user-agent",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-request-id",
  "sec-fetch-dest",
  "sec-fetch-mode",
  "sec-fetch-site",
  "sec-websocket-key",
];

/** What of a refusal reaches the visitor. */
const deniedHeaders = [
  "location",
  "set-cookie",
  "www-authenticate",
  "content-type",
  "cache-control",
  "content-security-policy",
  "referrer-policy",
  "x-content-type-options",
  "x-frame-options",
  "x-request-id",
  "retry-after",
];

function writeBootstrap(
  values: ProxyFileValues,
  filter: Readonly<Record<string, unknown>>,
  { http2 }: { readonly http2: boolean },
): string {
  const perRoute = (config: object) => ({
    typed_per_filter_config: {
      "envoy.filters.http.ext_authz": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        ...config,
      },
    },
  });
  const own = {
    match: {
      safe_regex: {
        regex: `/\\.vestibule/(${ownPages.map((page) => page.replace(".", "\\.")).join("|")})(\\?.*)?`,
      },
    },
    route: {
      cluster: "vestibule-pages",
      regex_rewrite: {
        pattern: { regex: "^/\\.vestibule/" },
        substitution: toGatePath(values, "browser/"),
      },
    },
    request_headers_to_add: [
      {
        header: { key: "x-vestibule-proxy-token", value: values.proxyToken },
        append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
      },
      {
        header: { key: "x-forwarded-host", value: "%REQ(:AUTHORITY)%" },
        append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
      },
    ],
    ...perRoute({ disabled: true }),
  };
  const app = {
    match: { prefix: "/" },
    route: { cluster: "app", upgrade_configs: [{ upgrade_type: "websocket" }] },
    request_headers_to_remove: ["x-vestibule-proxy-token"],
    ...perRoute({ check_settings: { context_extensions: { frontdoor_id: values.frontdoorId } } }),
  };
  const manager = {
    "@type":
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "gate",
    use_remote_address: true,
    // What was judged is what is sent, byte for byte.
    normalize_path: false,
    merge_slashes: false,
    path_with_escaped_slashes_action: "KEEP_UNCHANGED",
    common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST" },
    route_config: {
      virtual_hosts: [{ name: "app", domains: [values.hostname], routes: [own, app] }],
    },
    http_filters: [
      {
        name: "envoy.filters.http.header_mutation",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
          mutations: { request_mutations: listCleared(values).map((remove) => ({ remove })) },
        },
      },
      { name: "envoy.filters.http.ext_authz", typed_config: filter },
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const document = {
    static_resources: {
      listeners: [
        {
          address: toAddress(values.listen),
          filter_chains: [
            {
              filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }],
            },
          ],
        },
      ],
      clusters: [
        toCluster("app", values.upstream, false),
        toCluster("vestibule", values.gate, http2),
        ...(http2 ? [toCluster("vestibule-pages", values.gate, false)] : []),
      ],
    },
  };
  if (!http2) own.route.cluster = "vestibule";
  const head = `# ${values.hostname} behind the gate of frontdoor ${values.frontdoorId}.
#
# No filter behind \`ext_authz\` changes the path: what was judged is what is sent.

`;
  return head + stringify(document, { lineWidth: 0 });
}

/** Before the gate looks: whatever a visitor says of who they are, which it would refuse. */
function listCleared({ assertionHeader }: ProxyFileValues): readonly string[] {
  const alias = assertionHeader === undefined ? [] : [assertionHeader];
  return [...identityHeaders, ...alias, "X-Vestibule-Proxy-Token"].map((header) => header.toLowerCase());
}

function toCluster(name: string, address: string, http2: boolean) {
  const options = {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options: { idle_timeout: "4s" },
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  return {
    name,
    type: "STRICT_DNS",
    connect_timeout: "5s",
    ...(http2 && options),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: toAddress(address) } }] }],
    },
  };
}

function toAddress(text: string) {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  return { socket_address: { address, port_value: Number(text.slice(colon + 1)) } };
}

/** Spellings of the gate's own headers: the gate refuses what an app may take for one, and has to be told of it. */
function listLookalikes({ assertionHeader }: ProxyFileValues) {
  const names = assertionHeader === undefined ? [] : [assertionHeader.toLowerCase()];
  const patterns = [
    "x[^a-z0-9]vestibule[^a-z0-9].*",
    ...names.map((name) => name.replaceAll("-", "[^a-z0-9]")),
  ];
  return patterns.map((regex) => ({ safe_regex: { regex } }));
}

function toExact(header: string) {
  return { exact: header.toLowerCase(), ignore_case: true };
}
