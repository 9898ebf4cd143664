/**
 * People come in: from a frontend to the login at the public URL, to whoever
 * knows who they are, and back with a code that is good for a session.
 *
 * The room owns the way, its pages and what lives for minutes on it. Who
 * somebody is, a provider says, and who may come in, the frontend's policy;
 * the session is the neighbour's.
 */
import type { Room } from "../../assembly/room.ts";
import type { AuditTrail } from "../../audit/audit.ts";
import { createRenderPage } from "../../html/frame.ts";
import type { BrowserRoute } from "../dialects/browser-route.ts";
import { Admission } from "./admission.ts";
import { Desk, type DeskOptions } from "./desk.ts";
import { createFinish, type FinishOptions } from "./finish.ts";
import type { GateFlows } from "./gate-flows.ts";
import { createLogin, type LoginOptions } from "./login.ts";
import { createLogout, type LogoutOptions } from "./logout.ts";
import { OwnLoginFlow, type OwnLoginOptions } from "./own-login.ts";
import { ProviderTrips, type ProviderTripsOptions } from "./provider-trips.ts";
import { createStart, type StartOptions } from "./start.ts";
import { VisitDesk } from "./visits.ts";

/** What letting people in stands on. */
export type LoginParts = Omit<DeskOptions, "render"> &
  Omit<StartOptions, "desk" | "flows"> &
  Omit<FinishOptions, "desk" | "flows" | "audit"> &
  Omit<OwnLoginOptions, "admission" | "render" | "audit"> &
  Omit<ProviderTripsOptions, "desk" | "admission" | "flows"> &
  Omit<LogoutOptions, "desk" | "render"> &
  Pick<LoginOptions, "siteName" | "isSessionStrict"> & {
    readonly flows: GateFlows;
    readonly audit: AuditTrail;
  };

/** The login, and what of it frontends show under their own hosts. */
export interface LoginRoom extends Room {
  readonly pages: readonly BrowserRoute[];
}

/** Puts the login together. */
export function assembleLogin(parts: LoginParts): LoginRoom {
  const render = createRenderPage(parts.siteName);
  const desk = new Desk({ ...parts, render });
  const visits = new VisitDesk({ ...parts, render });
  const admission = new Admission({ ...parts, desk: visits });
  const trips = new ProviderTrips({ ...parts, admission, desk: visits });
  const own = new OwnLoginFlow({ ...parts, admission, render });
  return {
    pages: [
      createStart({ ...parts, desk }),
      createFinish({ ...parts, desk }),
      createLogout({ ...parts, desk, render }),
    ],
    routes: [...createLogin({ ...parts, desk: visits, own, trips, render }), trips.callback],
  };
}
