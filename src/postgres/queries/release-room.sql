-- Give up a room that this activation owns, for another node to take.
-- $1 room_id text · $2 epoch bigint · $3 owner incarnation uuid
-- One row when released; no row when a newer activation exists (STALE_EPOCH).
WITH released AS (
  UPDATE room SET owner = NULL
   WHERE room_id = $1 AND epoch = $2::bigint AND owner = $3::uuid AND disposed_at IS NULL
  RETURNING room_id
)
SELECT room_id, pg_notify(current_schema() || '_view', 'room:released') FROM released;
