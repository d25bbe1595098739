-- Save many rooms' states, each only if the writer still owns the room at that epoch.
-- $1 room_id text[] · $2 epoch bigint[] · $3 seq bigint[] · $4 snapshot bytea[] · $5 players integer[]
-- $6 owner incarnation uuid · $7 generations kept integer
-- A row {room_id, seq} for each one saved; a room that is missing has a newer activation (STALE_EPOCH).
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::integer[])
             AS t (room_id, epoch, seq, snapshot, players)
), owned AS (
  -- In one order for everyone, so that two batches never wait for each other in a circle.
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $6::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR NO KEY UPDATE
), saved AS (
  INSERT INTO checkpoint (room_id, seq, epoch, saved_at, bytes, snapshot)
  SELECT i.room_id, i.seq, i.epoch, clock_timestamp(), octet_length(i.snapshot), i.snapshot
    FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
  RETURNING room_id, seq
), counted AS (
  UPDATE room r SET players = i.players, failed_opens = 0, retry_at = NULL
    FROM input i JOIN saved s ON s.room_id = i.room_id
   WHERE r.room_id = i.room_id AND (r.players <> i.players OR r.failed_opens <> 0)
), pruned AS (
  DELETE FROM checkpoint c USING saved s WHERE c.room_id = s.room_id AND c.seq <= s.seq - $7::integer
)
SELECT room_id, seq::integer AS seq FROM saved;
