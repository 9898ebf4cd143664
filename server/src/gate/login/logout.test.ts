import { expect, it } from "vitest";
import type { RenderPage } from "../../html/frame.ts";
import { silentLog } from "../../lib/log.ts";
import type { BrowserRequest } from "../dialects/browser-route.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import { Desk } from "./desk.ts";
import { createLogout } from "./logout.ts";

it("ends the sessions of few cookies, and of what may be one alone, however many are sent", async () => {
  const frontend = {
    id: "frontend",
    isOpen: true,
    scheme: "https",
    sessionCookie: "__Host-vestibule",
  } as unknown as GateFrontend;
  const render = () => ({ status: 200, headers: {}, body: "" }) as ReturnType<RenderPage>;
  const ended: string[] = [];
  const desk = new Desk({
    directory: { find: async () => ({ frontend }) } as never,
    judgeSession: () => Promise.reject(new Error("nobody is judged")),
    render,
    log: silentLog,
  });
  const route = createLogout({
    desk,
    render,
    sessions: {
      endByCookie: async (_tx, _place, cookie) => {
        ended.push(cookie);
        return [];
      },
    },
    database: { transaction: async (work) => await work({} as never) },
    feed: { append: async () => {} },
    audit: { recordOwn: async () => {} },
  });
  const good = (n: number) => String(n).padStart(43, "x");
  const values = ["", "x", good(1), good(1), `${good(1)}x`, ...[2, 3, 4, 5, 6, 7, 8].map(good)];
  const cookie = values.map((value) => `__Host-vestibule=${value}`).join("; ");
  const request = {
    method: "POST",
    header: new Headers({ cookie, origin: "https://app.example.com" }),
    query: new URLSearchParams(),
    body: new Uint8Array(),
    host: "app.example.com",
    frontdoorId: "frontdoor",
    lines: [],
    info: { requestId: "r", outcome: {} },
  } as unknown as BrowserRequest;
  expect(await route.handle(request)).toMatchObject({ status: 200 });
  expect(ended).toEqual([1, 2, 3, 4, 5].map(good));
});
