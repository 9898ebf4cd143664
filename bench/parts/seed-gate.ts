/** Fills a stopped server's database with frontdoors, and one of them with providers and frontends, past the server. */
import { fill, id } from "./fill-database.ts";

/** As many of each; every frontend accepts one provider, the same for all. */
export function seedGate(
  dataDir: string,
  { frontdoorId, providerIds }: { readonly frontdoorId: string; readonly providerIds: readonly string[] },
  count: number,
  now: number,
): void {
  const own = `'${frontdoorId}'`;
  const times = `${now}, ${now}`;
  fill(dataDir, count, [
    `insert into frontdoors (id, org_id, name, change_seq, created_at, updated_at)
      select ${id("8")}, (select id from organizations limit 1), 'door ' || i, 0, ${times} from numbers`,
    `insert into auth_providers
      (id, frontdoor_id, name, type, enabled, revision, change_seq, created_at, updated_at)
      select ${id("9")}, ${own}, 'seeded-' || i, 'API_KEY', 1, 1, 0, ${times} from numbers`,
    `insert into auth_provider_revisions
      (provider_id, revision, name, enabled, data, sealed_secrets, change, changes, author_type, author_id,
        created_at)
      select ${id("9")}, 1, 'seeded-' || i, 1, '{}', '{}', 'create', '[]', 'serviceuser', '', ${now} from numbers`,
    `insert into custom_frontends (id, frontdoor_id, hostname, policy, created_at, updated_at)
      select ${id("a")}, ${own}, ${toHost("i")},
        '{"publicPaths":[],"emailPatterns":[],"requiredClaims":{}}', ${times} from numbers`,
    `insert into custom_frontend_providers (frontend_id, position, provider_id)
      select ${id("a")}, 0, '${providerIds[0]}' from numbers`,
  ]);
}

const seededHost = "seeded-*.example.com";

/** Host of a seeded frontend. */
export function toSeededHost(row: number): string {
  return seededHost.replace("*", String(row));
}

/** In SQL. */
function toHost(row: string): string {
  return `replace('${seededHost}', '*', ${row})`;
}
