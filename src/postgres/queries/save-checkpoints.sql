-- Save many rooms' states, each only if the writer still owns the room at that epoch.
-- $1 room_id text[] · $2 epoch bigint[] · $3 seq bigint[] · $4 snapshot bytea[] · $5 base_seq bigint[]: the checkpoint that it
-- stands on, or null · $6 kept boolean[]: whether it stays as a base and in the history · $7 bytes integer[]: its size in memory
-- $8 players integer[] · $9 class_version integer[] · $10 owner incarnation uuid · $11 generations kept integer
-- A row {room_id, seq} for each one saved; a room that is missing has a newer activation (STALE_EPOCH).
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::boolean[], $7::integer[],
                       $8::integer[], $9::integer[])
             AS t (room_id, epoch, seq, snapshot, base_seq, kept, bytes, players, class_version)
), owned AS (
  -- In one order for everyone, so that two batches never wait for each other in a circle.
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $10::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR NO KEY UPDATE
), saved AS (
  INSERT INTO checkpoint (room_id, seq, epoch, saved_at, bytes, snapshot, base_seq, kept)
  SELECT i.room_id, i.seq, i.epoch, clock_timestamp(), i.bytes, i.snapshot, i.base_seq, i.kept
    FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
  RETURNING room_id, seq
), counted AS (
  UPDATE room r SET players = i.players, class_version = i.class_version, failed_opens = 0, retry_at = NULL
    FROM input i JOIN saved s ON s.room_id = i.room_id
   WHERE r.room_id = i.room_id
     AND (r.players <> i.players OR r.failed_opens <> 0 OR r.class_version <> i.class_version)
), pruned AS (
  DELETE FROM checkpoint c USING saved s
   WHERE c.room_id = s.room_id AND c.seq <= s.seq - $11::integer AND NOT c.kept AND c.unreadable_reason IS NULL
)
SELECT room_id, seq::integer AS seq FROM saved;
