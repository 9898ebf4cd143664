import {
  listCopiedHeaders,
  ownPages,
  type ProxyFile,
  type ProxyFileValues,
  toGatePath,
  toServerName,
} from "./values.ts";

/** For nginx, with `ngx_http_auth_request_module`: what stands in its `http`. */
export function writeNginxFiles(values: ProxyFileValues): ProxyFile[] {
  const copied = listCopiedHeaders(values).map((header) => ({ header, variable: toVariable(header) }));
  const { gate, upstream, listen, scheme } = values;
  const isTls = scheme === "https";
  const names = { gate: `gate_${toSlug(values)}`, app: `app_${toSlug(values)}` };
  const ssl = isTls ? " ssl" : "";
  const text = `# ${values.hostname} behind the gate of frontdoor ${values.frontdoorId}.

upstream ${names.gate} {
    server ${gate};
    keepalive 256;
    keepalive_timeout 4s;
}

upstream ${names.app} {
    server ${upstream};
    keepalive 256;
}

# Nothing but WebSocket is upgraded to: a tunnel to the app would go past the gate.
map $http_upgrade $app_upgrade {
    default "";
    websocket websocket;
}
map $app_upgrade $app_connection {
    default "";
    websocket upgrade;
}

# Hosts that nobody has asked for: once for each address that nginx listens on.
server {
    listen ${listen}${ssl} default_server;${isTls ? "\n    ssl_reject_handshake on;" : ""}
    return 421;
}

server {
    listen ${listen}${ssl};
    server_name ${toServerName(values)};
${isTls ? "    ssl_certificate /etc/nginx/tls/fullchain.pem;\n    ssl_certificate_key /etc/nginx/tls/privkey.pem;\n" : ""}
    # For every location of this server: none may turn it off, or answer by itself
    # with \`return\` or \`rewrite\` into one that does, unless it is meant to be open.
    auth_request /-vestibule-ask;
    # The app bounds what it is sent.
    client_max_body_size 0;
${copied.map(({ header, variable }) => `    auth_request_set $${variable} $upstream_http_${header.toLowerCase().replaceAll("-", "_")};`).join("\n")}
    error_page 401 403 500 = @vestibule-refusal;

    # No rewrites, and no path behind the app's address: what was judged is what is sent.
    location / {
        proxy_pass http://${names.app};
        proxy_http_version 1.1;
        proxy_set_header Host ${toHost(values)};
        proxy_set_header Upgrade $app_upgrade;
        proxy_set_header Connection $app_connection;
${copied.map(({ header, variable }) => `        proxy_set_header ${header} $${variable};`).join("\n")}
        proxy_set_header X-Vestibule-Proxy-Token "";
        proxy_set_header X-Vestibule-Reason "";
        proxy_set_header X-Original-URL "";
        proxy_set_header X-Original-Method "";
        proxy_set_header X-Forwarded-Method "";
        proxy_set_header X-Forwarded-Uri "";
        proxy_set_header X-Forwarded-Prefix "";
        proxy_set_header Forwarded "";
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host ${toHost(values)};
        proxy_set_header X-Request-Id $request_id;
    }

    location = /-vestibule-ask {
        internal;
        proxy_pass http://${names.gate}${toGatePath(values, "nginx")};
${ask(values)}
    }

    # The same decision, answered for whoever came: a redirect, a page, or JSON.
    location @vestibule-refusal {
        auth_request off;
        rewrite ^ ${toGatePath(values, "nginx/refusal")}? break;
        proxy_pass http://${names.gate};
        proxy_method GET;
${ask(values)}
    }

    location ~ ^/\\.vestibule/(${ownPages.map((page) => page.replaceAll(".", "\\.")).join("|")})$ {
        auth_request off;
        rewrite ^/\\.vestibule/(.*)$ ${toGatePath(values, "browser/$1")} break;
        proxy_pass http://${names.gate};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-Host ${toHost(values)};
${askHeaders(values)}
    }
}
`;
  return [{ name: "nginx.conf", text }];
}

/** What goes with a question: never the visitor's body, whose bytes would be read as the next question's. */
function ask(values: ProxyFileValues): string {
  return `        proxy_http_version 1.1;
        proxy_pass_request_body off;
        proxy_set_header Connection "";
        proxy_set_header Content-Length "";
        proxy_buffer_size 32k;
        proxy_buffers 8 32k;
        proxy_busy_buffers_size 64k;
        proxy_connect_timeout 5s;
        proxy_read_timeout 10s;
${askHeaders(values)}`;
}

function askHeaders(values: ProxyFileValues): string {
  return `        proxy_set_header Host ${values.gate};
        proxy_set_header X-Vestibule-Proxy-Token ${values.proxyToken};
        proxy_set_header X-Original-URL ${values.scheme}://${toHost(values)}$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Forwarded "";
        proxy_set_header X-Request-Id $request_id;`;
}

/** Of a wildcard the one that was asked for, which fits it by \`server_name\`. */
function toHost({ hostname }: ProxyFileValues): string {
  return hostname.startsWith("*.") ? `$host${hostname.replace(/^[^:]*/, "")}` : hostname;
}

function toVariable(header: string): string {
  return `gate_${header
    .toLowerCase()
    .replace(/^x-vestibule-/, "")
    .replaceAll("-", "_")}`;
}

/** Tells the parts of one frontend's file from another's in the same nginx. */
function toSlug({ hostname }: ProxyFileValues): string {
  return hostname.replace("*", "any").replaceAll(/[^a-z0-9]/g, "_");
}
