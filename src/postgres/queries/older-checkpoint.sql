-- The newest checkpoint of a room before a given one, for when that one cannot be read.
-- $1 room_id text · $2 seq bigint
-- One row {seq, epoch, snapshot, base, age_ms}, or none; `epoch` is the one at which it was saved, `base` is the snapshot that it stands on, or null.
SELECT c.seq::integer AS seq, c.epoch::double precision AS epoch, c.snapshot, b.snapshot AS base,
       (extract(epoch FROM clock_timestamp() - c.saved_at) * 1000)::double precision AS age_ms
  FROM checkpoint c
  LEFT JOIN checkpoint b ON b.room_id = c.room_id AND b.seq = c.base_seq
 WHERE c.room_id = $1 AND c.seq < $2::bigint ORDER BY c.seq DESC LIMIT 1;
