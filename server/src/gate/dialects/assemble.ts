import type { Room } from "../../assembly/room.ts";
import { createRenderPage, type RenderPage } from "../../html/frame.ts";
import { type AskingOptions, createAsking } from "./answer-ask.ts";
import { createAnswerVisitor } from "./denial.ts";
import type { Dialect } from "./dialect.ts";
import { createEnvoyHttp } from "./envoy-http.ts";
import { createForwardAuth } from "./forward-auth.ts";
import { createNginxRefusal, nginx } from "./nginx.ts";
import { type BrowserRoute, createGateRoute } from "./route.ts";

/** What the dialects stand on. */
export interface DialectParts extends AskingOptions {
  /** What the people who come here call the place. */
  readonly siteName: string;
  /** Answers with the keys that assertions are verified by. */
  readonly answerJwks: BrowserRoute["handle"];
}

/** Every dialect that is spoken over HTTP. */
export function listDialects(render: RenderPage): readonly Dialect[] {
  const answerVisitor = createAnswerVisitor(render);
  return [
    nginx,
    createNginxRefusal(answerVisitor),
    createForwardAuth(answerVisitor),
    createEnvoyHttp(answerVisitor),
  ];
}

/** Puts together where proxies ask. */
export function assembleDialects(parts: DialectParts): Room {
  const dialects = listDialects(createRenderPage(parts.siteName));
  const browserRoutes = [{ path: "/jwks.json", handle: parts.answerJwks }];
  return { prefixRoutes: [createGateRoute(createAsking(parts), dialects, browserRoutes)] };
}
