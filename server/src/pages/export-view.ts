import type { ExportItem } from "../accounts/export.ts";
import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";

/** Where a form exports one's account. */
export const exportPath = "/account/export";

/** What is kept, to be taken along, on the page of one's account. */
export function toExport(forms: FormKit): Html {
  return html`<section class="card" aria-labelledby="export">
<h2 id="export">Your data</h2>
<p class="about">What is kept about you here, as a file: your profile, what opens your account, memberships, invitations, and what you have done as far as it is on record. Three times a day at most.</p>
<div class="row">
<form method="post" action="${exportPath}">${forms.hidden(exportPath)}<button>Download your data</button></form>
</div>
</section>`;
}

/** The file: JSON, an item a line. */
export async function* toExportFile(items: AsyncIterable<ExportItem>, now: Date): AsyncGenerator<string> {
  yield `{"exported_at":${JSON.stringify(now.toISOString())},"items":[`;
  let separator = "\n";
  for await (const item of items) {
    yield separator + JSON.stringify(item);
    separator = ",\n";
  }
  yield "\n]}\n";
}
