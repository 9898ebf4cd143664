/** Every column that holds sealed values: a room that seals into another one adds it here. */
import { mailboxKeyColumn } from "./audit/mailboxes.ts";
import { flowColumn } from "./auth/flows.ts";
import type { SealedColumn } from "./encryption/sealer.ts";
import { idempotencyColumn } from "./frontdoor/providers/idempotency-store.ts";
import { providerSecretsColumn } from "./frontdoor/providers/secrets.ts";
import { keptColumn } from "./gate/sessions/columns.ts";
import { signingKeyColumn } from "./tokens/key-rotation.ts";

/** @see the head of this file */
export const sealedColumns: readonly SealedColumn[] = [
  signingKeyColumn,
  flowColumn,
  providerSecretsColumn,
  idempotencyColumn,
  keptColumn,
  mailboxKeyColumn,
];
