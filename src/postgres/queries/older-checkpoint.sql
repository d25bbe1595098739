-- The newest checkpoint of a room before a given one, for when that one cannot be read.
-- $1 room_id text · $2 seq bigint
-- One row {seq, snapshot, age_ms}, or none.
SELECT seq::integer AS seq, snapshot,
       (extract(epoch FROM clock_timestamp() - saved_at) * 1000)::double precision AS age_ms
  FROM checkpoint WHERE room_id = $1 AND seq < $2::bigint ORDER BY seq DESC LIMIT 1;
