-- Forget seats whose players are gone for good, if the writer still owns the room at that epoch.
-- $1 room_id text[] · $2 epoch bigint[] · $3 session_id text[] · $4 owner incarnation uuid
-- A row {room_id, session_id} for each one deleted.
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) AS t (room_id, epoch, session_id)
), owned AS (
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $4::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR SHARE
)
DELETE FROM seat s USING input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
 WHERE s.room_id = i.room_id AND s.session_id = i.session_id
RETURNING s.room_id, s.session_id;
