-- Save many rooms' states, each only if the writer still owns the room at that epoch.
-- $1 room_id text[] · $2 epoch bigint[] · $3 seq bigint[] · $4 snapshot bytea[] · $5 base_seq bigint[]: the checkpoint that it
-- stands on, or null · $6 kept boolean[]: whether it stays as a base and in the history · $7 bytes integer[]: its size in memory
-- $8 players integer[] · $9 class_version integer[] · $10 owner incarnation uuid · $11 generations kept integer
-- A row {room_id, epoch, baseless} for each one whose writer owns the room; one that is missing has a newer activation
-- (STALE_EPOCH), which may be of this very statement. One that is `baseless` was not saved: what it stands on is not here, and
-- it could never be read. A promoted standby may have missed that.
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
   WHERE i.base_seq IS NULL
      OR EXISTS (SELECT 1 FROM checkpoint b WHERE b.room_id = i.room_id AND b.seq = i.base_seq)
  RETURNING room_id, epoch, seq
), counted AS (
  UPDATE room r SET players = i.players, class_version = i.class_version, failed_opens = 0, retry_at = NULL
    FROM input i JOIN saved s ON s.room_id = i.room_id AND s.epoch = i.epoch
   WHERE r.room_id = i.room_id
     AND (r.players <> i.players OR r.failed_opens <> 0 OR r.class_version <> i.class_version)
), pruned AS (
  -- Counted, not reckoned from seq: attempts that failed have left gaps.
  DELETE FROM checkpoint c
   USING saved s CROSS JOIN LATERAL (SELECT o.seq FROM checkpoint o WHERE o.room_id = s.room_id AND o.seq < s.seq
                                      ORDER BY o.seq DESC OFFSET $11::integer - 1 LIMIT 1) outdated
   WHERE c.room_id = s.room_id AND c.seq <= outdated.seq AND NOT c.kept AND c.unreadable_reason IS NULL
)
SELECT i.room_id, i.epoch::double precision AS epoch, s.room_id IS NULL AS baseless
  FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
  LEFT JOIN saved s ON s.room_id = i.room_id AND s.epoch = i.epoch;
