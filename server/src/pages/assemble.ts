import type { Room } from "../assembly/room.ts";
import { createCallbackRoutes } from "../auth/callback-routes.ts";
import { createFormPostRoutes } from "../auth/form-post-routes.ts";
import type { FunctionRoute } from "../http/plain-route.ts";
import { createPages, type PagesOptions } from "./pages.ts";

/** The pages, and what is shown where there is none. */
export interface PagesRoom extends Room {
  readonly renderLost: FunctionRoute["handle"];
}

/** Puts the pages together, with the routes of `/auth/callback`, which show some of them. */
export function assemblePages(parts: PagesOptions): PagesRoom {
  const pages = createPages(parts);
  const { renderResult } = pages;
  const callbacks = createCallbackRoutes({
    ...parts,
    renderResult,
    navigate: pages.navigate,
    reload: pages.reload,
    defaultReturnTo: `${parts.publicUrl}/account`,
  });
  const answers = [...callbacks, ...createFormPostRoutes({ ...parts, renderResult })];
  return { routes: [...answers.map(pages.guard), ...pages.routes], renderLost: pages.renderLost };
}
