-- The checkpoints of a room that are stored, the newest first: the times to which it can be taken back.
-- $1 room_id text
-- Rows {seq, saved_at, bytes, unreadable_reason}; saved_at in ms since 1970.
SELECT seq::integer AS seq, floor(extract(epoch FROM saved_at) * 1000)::double precision AS saved_at, bytes, unreadable_reason
  FROM checkpoint WHERE room_id = $1 ORDER BY seq DESC;
