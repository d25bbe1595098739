-- Wait until nobody else is writing to a room, and keep it so until the transaction ends.
-- $1 room_id text · $2 epoch bigint · $3 owner incarnation uuid
-- One row when the asker owns the room at that epoch; no row when a newer activation exists (STALE_EPOCH).
SELECT room_id FROM room
 WHERE room_id = $1 AND epoch = $2::bigint AND owner = $3::uuid
   FOR NO KEY UPDATE;
