/** Fills a stopped server's database with service users, past the server. */
import { fill, id, idOf, secret } from "./fill-database.ts";

const hourMs = 3_600_000;

/**
 * Service users of the first organization, each with a secret, which is the
 * same for all, and an opaque token that nobody knows.
 *
 * @param secretHash SHA-256 of the secret, base64url
 */
export function seedMachines(dataDir: string, machines: number, secretHash: string, now: number): void {
  const madeAt = now - hourMs;
  fill(dataDir, machines, [
    `insert into service_users select ${id("8")}, (select id from organizations limit 1), 'machine ' || i, '{}',
      'viewer', 'enabled', 0, ${madeAt}, ${madeAt}, null from numbers`,
    credentials("a", "secret", `'${secretHash}'`, madeAt),
    credentials("b", "token", secret, madeAt),
  ]);
}

/** The client id of a seeded machine's secret. */
export function toClientId(row: number): string {
  return idOf("a", row);
}

function credentials(kind: string, name: string, hash: string, madeAt: number): string {
  return `insert into service_user_credentials select ${id(kind)}, ${id("8")}, '${name}', '', ${hash}, null, 0,
    ${madeAt}, ${madeAt + 10_000 * hourMs}, null from numbers`;
}
