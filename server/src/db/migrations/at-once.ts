/**
 * What all migrations make of an empty SQLite file, as statements; undefined
 * when this is run from the sources. The build records them by migrating one
 * (`scripts/recorded-schema.ts`): a first start is then spared the steps that
 * lead there.
 */
export const recordedSchema: readonly string[] | undefined = undefined;
