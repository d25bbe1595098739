-- Change the tokens of seats, each only if the writer still owns the room at that epoch and nothing newer is there.
-- $1 room_id text[] · $2 epoch bigint[] · $3 session_id text[] · $4 token_hash bytea[] · $5 previous_hash bytea[], null for
-- none · $6 is_heard boolean[]: whether the player is known to have heard of token_hash · $7 token_no integer[]: the number of
-- this change · $8 owner incarnation uuid
-- A row {room_id, session_id} for each one changed; one that is missing has no seat any more, a newer change, or a newer
-- activation of its room (STALE_EPOCH).
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::boolean[], $7::integer[])
             AS t (room_id, epoch, session_id, token_hash, previous_hash, is_heard, token_no)
), owned AS (
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $8::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR SHARE
)
UPDATE seat s
   SET token_hash = i.token_hash, previous_hash = i.previous_hash, is_heard = i.is_heard, token_no = i.token_no
  FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
 WHERE s.room_id = i.room_id AND s.session_id = i.session_id AND s.token_no < i.token_no
RETURNING s.room_id, s.session_id;
