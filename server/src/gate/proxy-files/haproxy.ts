import { haproxyLua } from "./haproxy-lua.ts";
import {
  listCopiedHeaders,
  ownPages,
  type ProxyFile,
  type ProxyFileValues,
  toGatePath,
  toHostPattern,
} from "./values.ts";

/** For HAProxy from 2.5 on: its configuration, and the action in Lua that it loads. */
export function writeHaproxyFiles(values: ProxyFileValues): ProxyFile[] {
  const { upstream, listen, scheme, assertionHeader, folder = "/etc/haproxy" } = values;
  // What asks from Lua takes names to DNS alone, where this one is not.
  const gate = values.gate.replace(/^localhost:/, "127.0.0.1:");
  const bind = scheme === "https" ? `${listen} ssl crt /etc/haproxy/tls.pem alpn h2,http/1.1` : listen;
  const text = `# ${values.hostname} behind the gate of frontdoor ${values.frontdoorId}.

global
    lua-load ${folder}/vestibule-gate.lua

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    # A WebSocket is asked about once: this is how long one may outlive its visitor's welcome.
    timeout tunnel 1h

frontend gate
    bind ${bind}

    # Hosts that nobody has asked for.
    acl known_host req.fhdr(host),lower -m reg ^${toHostPattern(values)}(:[0-9]+)?$
    http-request deny deny_status 421 unless known_host

    # Whatever a visitor says of who they are, in every spelling that an app may read.
    http-request del-header ^x[-_.]vestibule -m reg${assertionHeader === undefined ? "" : `\n    http-request del-header ${assertionHeader}`}
    http-request del-header ^(forwarded|x-original-.*|x-forwarded-.*)$ -m reg

    # Nothing but WebSocket is upgraded to: a tunnel to the app would go past the gate.
    # The whole header is compared: of a list any member would do.
    acl websocket req.fhdr(upgrade) -i websocket
    http-request del-header upgrade unless websocket
    http-request set-header upgrade websocket if websocket
    http-request del-header connection unless websocket
    http-request set-header connection upgrade if websocket

    acl own_page path ${ownPages.map((page) => `/.vestibule/${page}`).join(" ")}
    http-request lua.vestibule-gate http://${gate}${toGatePath(values, "forward-auth")} ${values.proxyToken} ${listCopiedHeaders(values).join(",")} unless own_page
    use_backend vestibule if own_page
    default_backend app

backend app
    # What was judged is what is sent: no rewrites here.
    http-request set-header X-Forwarded-For %[src]
    server app ${upstream}

backend vestibule
    http-request set-header X-Vestibule-Proxy-Token ${values.proxyToken}
    http-request set-header X-Forwarded-Method %[method]
    http-request set-header X-Forwarded-Proto ${scheme}
    http-request set-header X-Forwarded-Host %[req.fhdr(host)]
    http-request set-header X-Forwarded-Uri %[pathq]
    http-request set-header X-Forwarded-For %[src]
    http-request replace-path ^/\\.vestibule/(.*)$ ${toGatePath(values, "browser/\\1")}
    server vestibule ${gate}
`;
  return [
    { name: "haproxy.cfg", text },
    { name: "vestibule-gate.lua", text: haproxyLua },
  ];
}
