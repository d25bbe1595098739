-- Whether a checkpoint is there, to learn what became of a transaction whose answer was lost.
-- $1 room_id text · $2 epoch bigint · $3 seq bigint
-- One row when it is.
SELECT seq FROM checkpoint WHERE room_id = $1 AND epoch = $2::bigint AND seq = $3::bigint;
