-- Keep a checkpoint that could not be read, with the reason, if the caller still owns the room: pruning passes it over.
-- $1 room_id text · $2 epoch bigint · $3 owner incarnation uuid · $4 seq bigint · $5 reason text
-- One row {seq} when it is kept; no row when a newer activation exists (STALE_EPOCH), or the checkpoint does not.
WITH owned AS (
  SELECT room_id FROM room
   WHERE room_id = $1 AND epoch = $2::bigint AND owner = $3::uuid AND disposed_at IS NULL FOR SHARE
)
UPDATE checkpoint c SET unreadable_reason = $5 FROM owned o
 WHERE c.room_id = o.room_id AND c.seq = $4::bigint
RETURNING c.seq::integer AS seq;
