/** Prepared queries: what Kysely builds for hot statements is built and compiled once. */
import type { Compilable, CompiledQuery, DialectAdapter } from "kysely";
import type { Reader } from "./database.ts";

/** A query that was built and compiled once and runs with parameters. */
export interface PreparedQuery<P, O> {
  /** All rows. */
  all(database: Reader, parameters: P): Promise<O[]>;
  /** The first row, if any. */
  first(database: Reader, parameters: P): Promise<O | undefined>;
  /** Runs a write and returns how many rows it touched. */
  run(database: Reader, parameters: P): Promise<number>;
}

/** Stands in a compiled query for a value that comes later. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

interface Compiled<O> {
  readonly query: CompiledQuery<O>;
  readonly parameters: readonly unknown[];
  /** Whether the parameters come as a list in the statement's own order, and need no sorting. */
  readonly isInOrder: boolean;
}

/**
 * Prepares a hot statement: Kysely builds and compiles it at first use, once
 * for each database, which leaves about a third of the cost of a call. Use it
 * at module level, for statements that run on every request.
 *
 * `build` sees placeholders instead of values, so it must hand each parameter
 * to Kysely as it is, and never look at one, spread one or put one in a list.
 * Parameters are an object, or a list where there are many.
 *
 * @example
 * const findOrganization = prepared((db, { id }: { id: string }) =>
 *   db.selectFrom("organizations").selectAll().where("id", "=", id));
 * await findOrganization.first(database.reader, { id });
 */
export function prepared<P extends object, O>(
  build: (database: Reader, parameters: P) => Compilable<O>,
): PreparedQuery<P, O> {
  // An adapter belongs to one open database: keyed weakly, a closed one is forgotten.
  const compiled = new WeakMap<DialectAdapter, Compiled<O>>();

  const execute = async (database: Reader, values: P) => {
    const { adapter } = database.getExecutor();
    let statement = compiled.get(adapter);
    if (!statement) {
      statement = compile(build, database);
      compiled.set(adapter, statement);
    }
    const parameters = statement.isInOrder
      ? checkList(values, statement.parameters.length)
      : statement.parameters.map((parameter) => bind(parameter, values));
    return database.executeQuery<O>({ ...statement.query, parameters });
  };

  return {
    all: async (database, parameters) => (await execute(database, parameters)).rows,
    first: async (database, parameters) => (await execute(database, parameters)).rows[0],
    run: async (database, parameters) => Number((await execute(database, parameters)).numAffectedRows ?? 0n),
  };
}

function compile<P extends object, O>(
  build: (database: Reader, parameters: P) => Compilable<O>,
  database: Reader,
): Compiled<O> {
  const placeholders = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) }) as P;
  const query = build(database, placeholders).compile();
  const { parameters } = query;
  const isInOrder = parameters.every((parameter, index) => isNamed(parameter, String(index)));
  return { query, parameters, isInOrder };
}

function isNamed(parameter: unknown, name: string): boolean {
  return parameter instanceof Placeholder && parameter.name === name;
}

/** As strict as {@link bind}: a value that is missing is an error, not a null. */
function checkList(values: unknown, length: number): readonly unknown[] {
  const list = values as readonly unknown[];
  if (length > 0 && (list.length !== length || list.includes(undefined))) {
    throw new Error(`prepared statement: ${length} values are needed`);
  }
  return length > 0 ? list : [];
}

function bind<P extends object>(parameter: unknown, values: P): unknown {
  if (!(parameter instanceof Placeholder)) return parameter;
  const value = (values as Record<string, unknown>)[parameter.name];
  if (value === undefined) throw new Error(`prepared statement: no value for ${parameter.name}`);
  return value;
}
