import { listCopiedHeaders, ownPages, type ProxyFile, type ProxyFileValues, toGatePath } from "./values.ts";

/** For Caddy, from 2.6 (Debian 12) on: a site of the Caddyfile. */
export function writeCaddyFiles(values: ProxyFileValues): ProxyFile[] {
  const { gate, upstream, scheme, hostname, assertionHeader } = values;
  const port = hostname.match(/:\d+$/)?.[0];
  const text = `# ${hostname} behind the gate of frontdoor ${values.frontdoorId}.

# Hosts that nobody has asked for: once for each port that Caddy listens on.
${scheme === "https" ? (port ?? ":443") : `http://${port ?? ":80"}`} {
	respond 421
}

${toSite(scheme, hostname)} {
	# In this order: outside of \`route\` Caddy sorts directives, and would delete what the gate sets.
	route {
		# Whatever a visitor says of who they are, in every spelling that an app may read.
		request_header -X-Vestibule*
		request_header -X_Vestibule*
		request_header -X.Vestibule*${assertionHeader === undefined ? "" : `\n		request_header -${assertionHeader}`}
		request_header -X-Forwarded-Method
		request_header -X-Forwarded-Uri
		request_header -X-Forwarded-Prefix
		request_header -X-Original-*
		request_header -Forwarded

		# Nothing but WebSocket is upgraded to: a tunnel to the app would go past the gate.
		@websocket header_regexp Upgrade (?i)^websocket$
		@plain not header_regexp Upgrade (?i)^websocket$
		request_header @websocket Connection Upgrade
		request_header @plain -Connection
		request_header @plain -Upgrade

		@own path_regexp page ^/\\.vestibule/(${ownPages.map((page) => page.replaceAll(".", "\\.")).join("|")})$
		handle @own {
			rewrite * ${toGatePath(values, "browser/{re.page.1}?{query}")}
			reverse_proxy ${gate} {
${askHeaders(values, "				")}
				header_up X-Forwarded-Method {method}
				header_up X-Forwarded-Uri {http.request.orig_uri}
				transport http {
					dial_timeout 5s
					response_header_timeout 10s
					keepalive 4s
					keepalive_idle_conns_per_host 256
				}
			}
		}

		handle {
			forward_auth ${gate} {
				# The question mark at the end keeps the visitor's query out of it.
				uri ${toGatePath(values, "forward-auth?")}
${askHeaders(values, "				")}
				copy_headers ${listCopiedHeaders(values).join(" ")}
				transport http {
					dial_timeout 5s
					response_header_timeout 10s
					keepalive 4s
					keepalive_idle_conns_per_host 256
				}
			}
			# What was judged is what is sent: no rewrites from here on.
			reverse_proxy ${upstream} {
				header_up -X-Vestibule-Proxy-Token
			}
		}
	}
}
`;
  return [{ name: "Caddyfile", text }];
}

function askHeaders(values: ProxyFileValues, indent: string): string {
  return [
    `header_up X-Vestibule-Proxy-Token ${values.proxyToken}`,
    "header_up X-Request-Id {http.request.uuid}",
    "header_up -Expect",
  ]
    .map((line) => indent + line)
    .join("\n");
}

/** By https Caddy gets the certificate itself. */
function toSite(scheme: ProxyFileValues["scheme"], hostname: string): string {
  return scheme === "https" ? hostname : `http://${hostname}`;
}
