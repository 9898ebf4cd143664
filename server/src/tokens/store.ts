/** Rows of signing keys. */
import type { Reader, Tx } from "../db/database.ts";
import { jsonColumn } from "../db/json-column.ts";
import type { SigningKeyRow } from "../db/schema.ts";
import { type PublicJwk, publicJwkSchema } from "../signatures/public-jwk.ts";
import type { SigningKey } from "./signing-key.ts";

const publicJwkColumn = jsonColumn<PublicJwk>("signing_keys.public_jwk", publicJwkSchema);

function toSigningKey(row: SigningKeyRow): SigningKey {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    publicJwk: publicJwkColumn.decode(row.public_jwk),
    sealedPrivateKey: row.sealed_private_key,
    createdAt: new Date(row.created_at),
    signsFromAt: new Date(row.signs_from_at),
    ...(row.retires_at === null ? {} : { retiresAt: new Date(row.retires_at) }),
  };
}

/** Every stored signing key, in the order they sign in. */
export async function findSigningKeys(reader: Reader): Promise<SigningKey[]> {
  const rows = await reader
    .selectFrom("signing_keys")
    .selectAll()
    .orderBy("signs_from_at")
    .orderBy("created_at")
    .orderBy("kid")
    .execute();
  return rows.map(toSigningKey);
}

/** Stores a new signing key. */
export async function insertSigningKey(tx: Tx, key: SigningKey): Promise<void> {
  await tx
    .insertInto("signing_keys")
    .values({
      kid: key.kid,
      algorithm: key.algorithm,
      public_jwk: publicJwkColumn.encode(key.publicJwk),
      sealed_private_key: key.sealedPrivateKey,
      created_at: key.createdAt.getTime(),
      signs_from_at: key.signsFromAt.getTime(),
      retires_at: key.retiresAt?.getTime() ?? null,
    })
    .execute();
}

/** Moves when a key begins to sign and when its last token has expired. */
export async function updateSigningKeyTimes(
  tx: Tx,
  kid: string,
  times: { readonly signsFromAt?: Date; readonly retiresAt?: Date },
): Promise<void> {
  await tx
    .updateTable("signing_keys")
    .set({
      ...(times.signsFromAt === undefined ? {} : { signs_from_at: times.signsFromAt.getTime() }),
      ...(times.retiresAt === undefined ? {} : { retires_at: times.retiresAt.getTime() }),
    })
    .where("kid", "=", kid)
    .execute();
}

/** Removes a key; false when there was none. */
export async function deleteSigningKey(tx: Tx, kid: string): Promise<boolean> {
  const result = await tx.deleteFrom("signing_keys").where("kid", "=", kid).executeTakeFirst();
  return result.numDeletedRows > 0n;
}
