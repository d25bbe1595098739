-- Epochs that no promotion hands out twice.

-- The epoch after `last`. A standby that is promoted may have missed the last claims: it would hand out their epochs again,
-- while those who made them still live. But it begins a new timeline, as does recovery to a point in time, and each timeline
-- has epochs of its own: from 1, from 1,000,000,001, from 2,000,000,001 and so on.
--
-- The timeline is what new WAL is named after; pg_control_checkpoint() tells the former one until the first checkpoint after
-- a promotion. While there are transactions that write it cannot change, so STABLE is true. `ringside.timeline` is for servers
-- that do not let us ask (POSTGRES_TIMELINE). PL/pgSQL, because it is prepared once a session, and looks at permissions
-- only on the branch that it takes.
CREATE FUNCTION next_epoch(last bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  timeline bigint := nullif(current_setting('ringside.timeline', true), '');
BEGIN
  IF timeline IS NULL THEN
    timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint;
  END IF;
  RETURN greatest(last, (timeline - 1) * 1000000000) + 1;
END
$$;
