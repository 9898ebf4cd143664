import { Authorization } from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createRenderPage, type RenderPage } from "../../html/frame.ts";
import { type AskingOptions, createAsking } from "./answer-ask.ts";
import type { BrowserRoute } from "./browser-route.ts";
import { createAnswerVisitor } from "./denial.ts";
import type { Dialect } from "./dialect.ts";
import { createEnvoyHttp } from "./envoy-http.ts";
import { createForwardAuth } from "./forward-auth.ts";
import { createCheckMethods } from "./handler.ts";
import { createNginxRefusal, nginx } from "./nginx.ts";
import { createGateRoute } from "./route.ts";

/** What the dialects stand on. */
export interface DialectParts extends AskingOptions {
  /** What the people who come here call the place. */
  readonly siteName: string;
  /** Answers with the keys that assertions are verified by. */
  readonly answerJwks: BrowserRoute["handle"];
  /** Pages of frontends, under `/.vestibule/…`. */
  readonly pages: readonly BrowserRoute[];
}

/** Every dialect that is spoken over HTTP; by gRPC there is Envoy's (`handler.ts`). */
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
  const render = createRenderPage(parts.siteName);
  const dialects = listDialects(render);
  const browserRoutes = [{ path: "/jwks.json", handle: toPublic(parts.answerJwks) }, ...parts.pages];
  const asking = createAsking(parts);
  const check = createCheckMethods(asking, createEnvoyHttp(createAnswerVisitor(render)));
  return {
    prefixRoutes: [createGateRoute(asking, dialects, browserRoutes)],
    services: [registerService(Authorization, check)],
  };
}

/** Pages of every origin may read the answer, as they may at the public URL. */
function toPublic(handle: BrowserRoute["handle"]): BrowserRoute["handle"] {
  return async (request) => {
    const answer = await handle(request);
    return { ...answer, headers: { ...answer.headers, "access-control-allow-origin": "*" } };
  };
}
