/** An app of Frontier's published React SDK, bundled as its users do, on the server's own origin. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { BrowserContext } from "playwright-core";

const entry = fileURLToPath(new URL("../fixtures/frontier-screens.js", import.meta.url));

const html = `<!doctype html>
<title>App</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/app/frontier-screens.css">
<body><script type="module" src="/app/frontier-screens.js"></script>`;

/** Where the SDK's styles look for fonts; nothing is loaded from there. */
export const fontOrigin = "https://fonts.googleapis.com";

/** Puts the app into a browser: its pages are `/` and `/app/…`, beside the server's own paths. */
export async function serveFrontierScreens(context: BrowserContext): Promise<void> {
  const files = await bundle();
  const isApp = ({ pathname }: URL) => pathname === "/" || pathname.startsWith("/app/");
  await context.route(isApp, async (route) => {
    const { pathname } = new URL(route.request().url());
    const body = files.get(pathname);
    const contentType = pathname.endsWith(".css") ? "text/css" : "text/javascript";
    await route.fulfill(
      body === undefined ? { contentType: "text/html", body: html } : { contentType, body },
    );
  });
  await context.route(`${fontOrigin}/**`, (route) => route.fulfill({ contentType: "text/css", body: "" }));
}

/** The app's script and styles, by their paths. */
async function bundle(): Promise<ReadonlyMap<string, string>> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    write: false,
    outdir: "/app",
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return new Map(outputFiles.map(({ path, text }) => [path, text]));
}
