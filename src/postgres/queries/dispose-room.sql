-- End a room for good, with its checkpoints and seats. Its row stays for a day so that its epochs go on counting.
-- $1 room_id text · $2 epoch bigint · $3 owner incarnation uuid
-- One row when it ended; no row when a newer activation exists (STALE_EPOCH).
WITH ended AS (
  UPDATE room SET owner = NULL, players = 0, options = NULL, disposed_at = clock_timestamp()
   WHERE room_id = $1 AND epoch = $2::bigint AND owner = $3::uuid AND disposed_at IS NULL
  RETURNING room_id
), saved AS (
  DELETE FROM checkpoint WHERE room_id IN (SELECT room_id FROM ended)
), seats AS (
  DELETE FROM seat WHERE room_id IN (SELECT room_id FROM ended)
)
SELECT room_id FROM ended;
