/** `/account/export`: what is kept about somebody, as a file that is written as it is read. */
import type { AccountExport } from "../accounts/export.ts";
import type { FunctionRoute, PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { redirect, toPath } from "../http/redirect.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { accountPaths } from "./account-view.ts";
import { exportPath, toExportFile } from "./export-view.ts";
import { toProblemTexts } from "./texts.ts";
import { noteRefusal, type Visitor, type Visitors } from "./visitors.ts";

/** Parts that an export stands on. */
export interface ExportPagesOptions {
  readonly accountExport: Pick<AccountExport, "begin">;
  readonly visitors: Visitors;
  readonly clock: Clock;
}

/** Refusals that are said on the page of the account, by their reasons. */
export const exportProblems: Readonly<Record<string, string>> = toProblemTexts(["TOO_MANY_EXPORTS"]);

/** Builds the route of the form. */
export function createExportPages({
  accountExport,
  visitors,
  clock,
}: ExportPagesOptions): readonly FunctionRoute[] {
  async function download(request: PlainRequest, caller: Visitor): Promise<PlainResponse> {
    try {
      const items = await accountExport.begin(caller);
      const now = clock.now();
      const name = `account-${now.toISOString().slice(0, 10)}.json`;
      return {
        status: 200,
        headers: {
          "content-type": "application/json",
          "content-disposition": `attachment; filename="${name}"`,
          "cache-control": "no-store",
        },
        stream: toExportFile(items, now),
      };
    } catch (error) {
      if (!(error instanceof DomainError) || !Object.hasOwn(exportProblems, error.reason)) throw error;
      noteRefusal(request, error);
      return redirect(toPath(accountPaths.account, { problem: error.reason }));
    }
  }
  return [visitors.post(exportPath, download)];
}
