/**
 * Postgres: makes what is written from now on sort after all there is, where
 * the rows come from another cluster. That shows by a row of a transaction
 * which this one has not had yet. To be run with each new session, before it
 * writes; costs a look at an index.
 */
export const continueOrderStatement = `do $$
declare
  raise_by bigint;
begin
  if to_regclass(quote_ident(current_schema()) || '.commit_order') is null then return; end if;
  if not exists (select from commit_order where (select max(xact) from audit_records)
    >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + raised_by) then return; end if;
  lock table audit_records in access exclusive mode;
  update commit_order
    set raised_by = (select max(xact) from audit_records) + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    where (select max(xact) from audit_records) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + raised_by
    returning raised_by into raise_by;
  if raise_by is null then return; end if;
  execute format('alter table audit_records alter column xact set default pg_current_xact_id()::text::bigint + %s', raise_by);
end $$`;
