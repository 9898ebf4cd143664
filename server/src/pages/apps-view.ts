import type { GateSession } from "../gate/sessions/gate-session.ts";
import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";
import { toAgoText, toDateText } from "./texts.ts";
import { toTime } from "./time.ts";

/** Where a form ends the session at an app. */
export const endAppPath = "/account/apps/end";

/** What is shown of the apps that somebody has come in at. */
export interface AppsView {
  readonly forms: FormKit;
  readonly currentSessionId: string;
  readonly apps: readonly GateSession[];
  readonly now: Date;
}

/** The apps behind the gate where somebody's own sessions let them in. */
export function toApps(view: AppsView): Html {
  return html`<section class="card" aria-labelledby="apps">
<h2 id="apps">Apps</h2>
<p class="about">Where you have come in by this account. Signing out everywhere ends these, too.</p>
<ul class="items">
${view.apps.map((app) => toApp(view, app))}</ul>
</section>`;
}

function toApp({ forms, currentSessionId, now }: AppsView, app: GateSession): Html {
  const { id, host, device, parentId, lastUsedAt, expiresAt } = app;
  const browser = [device.browser || "Unknown browser", device.operatingSystem].filter(Boolean).join(" on ");
  return html`<li>
<div class="what">
<p class="name address">${host}${parentId === currentSessionId && html` <span class="badge">This browser</span>`}</p>
<p class="facts"><span>${browser}</span> <span>Last used ${toTime(lastUsedAt, toAgoText(lastUsedAt, now))}</span> <span>Ends ${toTime(expiresAt, toDateText(expiresAt))}</span></p>
</div>
<form method="post" action="${endAppPath}" class="actions">${forms.hidden(endAppPath, { id })}<button class="small" aria-label="Sign out of ${host}, ${browser}">Sign out</button></form>
</li>
`;
}
