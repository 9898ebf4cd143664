/** Fills a stopped server's database with people and organizations that are found by how they are called. */
import { fill, id, secret } from "./fill-database.ts";

/** Longest beginning that rows are stored under, in characters. */
const longest = 12;

/** What all addresses and all names of organizations begin with; seven digits follow. */
export const [personPrefix, organizationPrefix] = ["person-", "org-"];

/** One in twenty is disabled. */
const state = "iif(i % 20 = 7, 'disabled', 'enabled')";

/** People and organizations, found by their addresses and names; whatever else they are called is left out. */
export function seedSearch(dataDir: string, people: number, organizations: number, now: number): void {
  const address = `printf('${personPrefix}%07d@example.org', i)`;
  const name = `printf('${organizationPrefix}%07d', i)`;
  fill(dataDir, people, [
    `insert into users (id, name, title, email, email_proven, passkey_handle, metadata, avatar, state, created_at,
        updated_at)
      select ${id("8")}, 'handle-' || i, '', ${address}, 1, ${secret}, '{}', '', ${state}, ${now}, ${now} from numbers`,
    prefixes("user", id("8"), address),
  ]);
  fill(dataDir, organizations, [
    `insert into organizations (id, name, title, metadata, avatar, state, created_at, updated_at)
      select ${id("9")}, ${name}, '', '{}', '', ${state}, ${now}, ${now} from numbers`,
    prefixes("organization", id("9"), name),
  ]);
}

/** What the server would have stored beside the rows. */
function prefixes(kind: string, rowId: string, text: string): string {
  return `insert into search_prefixes (kind, prefix, id)
    with recursive lengths(n) as (select 1 union all select n + 1 from lengths where n < ${longest}),
      kinds(kind, remainder) as (values ('${kind}', null), ('disabled ${kind}', 7))
    select kind, substr(${text}, 1, n), ${rowId} from numbers, lengths, kinds
    where n <= length(${text}) and (remainder is null or i % 20 = remainder)
    order by 1, 2, 3`;
}
