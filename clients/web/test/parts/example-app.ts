/** The example app, bundled and served: beside the server, or on one origin with it. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build } from "esbuild";

const folder = join(import.meta.dirname, "../../example");

/** An app on a port of its own. */
export interface ExampleApp extends AsyncDisposable {
  /** `http://localhost:<port>`. */
  readonly origin: string;
  /** The app's page, which is also its callback. */
  readonly page: string;
  /** Names the server. Has to be called before the page is loaded. */
  useServer(port: number): void;
}

/**
 * Serves the example.
 *
 * @param isProxy whether what is not the app's goes to the server, so that both are one origin.
 */
export async function serveExample(isProxy: boolean): Promise<ExampleApp> {
  const script = await bundle(join(folder, "app.ts"));
  let serverPort = 0;
  const server = createServer((asked, answer) => {
    const { pathname } = new URL(asked.url ?? "/", "http://localhost");
    if (pathname === "/") {
      const address = isProxy ? "" : `http://localhost:${serverPort}`;
      const html = readFileSync(join(folder, "index.html"), "utf8");
      answer.setHeader("content-type", "text/html");
      answer.end(html.replace("http://localhost:7400", address));
    } else if (pathname === "/app.js") {
      answer.setHeader("content-type", "text/javascript");
      answer.end(script);
    } else if (isProxy) {
      forward(asked, answer, serverPort);
    } else {
      answer.statusCode = 404;
      answer.end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    page: `${origin}/`,
    useServer(port) {
      serverPort = port;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Bundles a module for browsers, as an app would. */
async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0]?.text ?? "";
}

function forward(asked: IncomingMessage, answer: ServerResponse, port: number): void {
  const { method, url: path, headers } = asked;
  const onward = request({ host: "127.0.0.1", port, method, path, headers }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(answer);
  });
  onward.on("error", () => answer.destroy());
  asked.pipe(onward);
}
