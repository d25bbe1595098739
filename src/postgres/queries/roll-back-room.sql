-- Give a room that was taken (take-room.sql) the checkpoint to open from, and let it be claimed.
-- $1 room_id text · $2 the epoch at which it was taken, bigint · $3 seq of the new checkpoint, bigint · $4 snapshot bytea
-- $5 bytes integer: its size in memory · $6 class_version integer · $7 the checkpoint that was gone back to, bigint
-- $8 who does it, text · $9 facts for the event log as JSON text
-- One row when it is done; no row when somebody else has taken or claimed the room since (STALE_EPOCH): nothing is written then.
WITH held AS (
  SELECT room_id FROM room
   WHERE room_id = $1 AND epoch = $2::bigint AND owner IS NULL AND disposed_at IS NULL AND quarantined_at IS NULL
     FOR NO KEY UPDATE
), saved AS (
  INSERT INTO checkpoint (room_id, seq, epoch, saved_at, bytes, snapshot, kept)
  SELECT room_id, $3::bigint, $2::bigint, clock_timestamp(), $5::integer, $4, true FROM held
  RETURNING room_id
), undone AS (
  -- What is undone is evidence: it stays as long as the history does, and is not pruned with the generations.
  UPDATE checkpoint c SET kept = true FROM saved s
   WHERE c.room_id = s.room_id AND c.seq > $7::bigint AND c.seq < $3::bigint AND NOT c.kept
), opened AS (
  UPDATE room r SET retry_at = NULL, failed_opens = 0, class_version = $6::integer FROM saved s WHERE r.room_id = s.room_id
), told AS (
  -- Here, so that no room was ever rolled back without a word of it.
  INSERT INTO event (at, name, node_id, room_id, epoch, facts)
  SELECT clock_timestamp(), 'room:rolled-back', $8, room_id, $2::bigint, $9::json FROM saved
)
SELECT room_id, pg_notify(current_schema() || '_view', 'room:rolled-back') FROM saved;
