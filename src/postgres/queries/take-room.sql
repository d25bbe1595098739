-- Take a room from whoever owns it, to change what it opens from: nobody owns it then, and nobody may claim it for a while.
-- $1 room_id text · $2 for how long, in ms, integer: then it opens by itself, from what its newest checkpoint is by then
-- One row {epoch, taken_at}, taken_at in ms since 1970; no row when there is no such room, or it has ended or is locked away.
-- Whatever the former owner sends from now on is refused (STALE_EPOCH); it is told, so that it stops at once.
WITH taken AS (
  UPDATE room SET owner = NULL, epoch = next_epoch(epoch), retry_at = clock_timestamp() + $2::integer * interval '1 ms'
   WHERE room_id = $1 AND disposed_at IS NULL AND quarantined_at IS NULL
  RETURNING epoch
)
SELECT epoch::double precision AS epoch, (extract(epoch FROM clock_timestamp()) * 1000)::double precision AS taken_at,
       pg_notify(current_schema() || '_view', 'room:taken')
  FROM taken;
