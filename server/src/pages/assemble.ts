import type { Room } from "../assembly/room.ts";
import { createCallbackRoutes } from "../auth/callback-routes.ts";
import type { FunctionRoute } from "../http/plain-route.ts";
import { createPages, type PagesOptions } from "./pages.ts";

/** What pages stand on. */
export interface PageParts extends PagesOptions {
  /** Where providers are answered, each at its own URL. */
  readonly providerUrls: readonly string[];
}

/** The pages, and what is shown where there is none. */
export interface PagesRoom extends Room {
  readonly renderLost: FunctionRoute["handle"];
}

/** Puts the pages together, with the routes of `/auth/callback`, which show some of them. */
export function assemblePages(parts: PageParts): PagesRoom {
  const pages = createPages(parts);
  const callbacks = createCallbackRoutes({
    ...parts,
    renderResult: pages.renderResult,
    navigate: pages.navigate,
    reload: pages.reload,
    defaultReturnTo: `${parts.publicUrl}/account`,
  });
  return { routes: [...callbacks.map(pages.guard), ...pages.routes], renderLost: pages.renderLost };
}
