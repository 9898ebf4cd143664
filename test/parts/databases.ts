/** Both databases for suites that must hold on either: store conformance. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import type { OpenDatabase } from "../../server/src/db/kysely-database.ts";
import { migrate } from "../../server/src/db/migrate.ts";
import { type OpenDatabaseOptions, openDatabase } from "../../server/src/db/open-database.ts";
import { silentLog } from "../../server/src/lib/log.ts";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";

export type Dialect = "sqlite" | "postgres";

/** What a suite gets: one migrated database of its own, gone when it is over. */
export interface DatabaseUnderTest {
  readonly dialect: Dialect;
  /** For `database_url`. Known once the suite's tests run. */
  readonly url: string;
  /** Open and migrated. Known once the suite's tests run. */
  readonly database: OpenDatabase;
  /** Opens the same database once more, as another process would; closed with the suite. */
  openAnother(options?: Partial<OpenDatabaseOptions>): Promise<OpenDatabase>;
}

/**
 * Runs a suite on SQLite and on Postgres. A database that cannot be had fails
 * the suite; nothing is skipped. The tests of a suite share its database: give
 * rows ids of their own.
 */
export function describeDatabases(name: string, suite: (under: DatabaseUnderTest) => void): void {
  for (const dialect of ["sqlite", "postgres"] as const) {
    describe(`${name} (${dialect})`, () => {
      const under = new SuiteDatabase(dialect);
      beforeAll(() => under.open());
      afterAll(() => under.close());
      suite(under);
    });
  }
}

/** Makes an empty database of either kind, for tests that open it themselves. */
export async function createEmptyDatabase(dialect: Dialect): Promise<TestDatabase> {
  if (dialect === "postgres") return createTestDatabase();
  const folder = mkdtempSync(join(tmpdir(), "vestibule-sqlite-"));
  return {
    url: `sqlite:${join(folder, "test.db")}`,
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Makes empty databases for the tests of a file, which are gone when it is over; answers their `database_url`s. */
export function useEmptyDatabases(): (dialect: Dialect) => Promise<string> {
  const places: TestDatabase[] = [];
  afterAll(async () => {
    for (const place of places.splice(0).toReversed()) await place.drop();
  });
  return async (dialect) => {
    const place = await createEmptyDatabase(dialect);
    places.push(place);
    return place.url;
  };
}

class SuiteDatabase implements DatabaseUnderTest {
  readonly dialect: Dialect;
  readonly #opened: OpenDatabase[] = [];
  #place: TestDatabase | undefined;

  constructor(dialect: Dialect) {
    this.dialect = dialect;
  }

  get url(): string {
    if (!this.#place) throw new Error("the database is there once the suite's tests run");
    return this.#place.url;
  }

  get database(): OpenDatabase {
    const first = this.#opened[0];
    if (!first) throw new Error("the database is there once the suite's tests run");
    return first;
  }

  async open(): Promise<void> {
    this.#place = await createEmptyDatabase(this.dialect);
    await migrate(await this.openAnother());
  }

  async openAnother(options: Partial<OpenDatabaseOptions> = {}): Promise<OpenDatabase> {
    const database = await openDatabase({ url: this.url, log: silentLog, ...options });
    this.#opened.push(database);
    return database;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((database) => database.close()));
    await this.#place?.drop();
  }
}
