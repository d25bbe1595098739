-- Make seats durable, each only if the writer still owns the room at that epoch.
-- $1 room_id text[] · $2 epoch bigint[] · $3 session_id text[] · $4 token_hash bytea[] · $5 options as JSON text[]
-- $6 auth as JSON text[] · $7 owner incarnation uuid · $8 login_hash bytea[], null where the client sent no auth token
-- A row {room_id, session_id} for each one saved; one that is missing was refused (STALE_EPOCH).
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[], $8::bytea[])
             AS t (room_id, epoch, session_id, token_hash, options, auth, login_hash)
), owned AS (
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $7::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR SHARE
)
INSERT INTO seat (room_id, session_id, token_hash, is_heard, options, auth, login_hash, taken_at)
SELECT i.room_id, i.session_id, i.token_hash, false, i.options, i.auth, i.login_hash, clock_timestamp()
  FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
ON CONFLICT (room_id, session_id) DO UPDATE
   SET token_hash = excluded.token_hash, previous_hash = NULL, is_heard = false, token_no = 0,
       options = excluded.options, auth = excluded.auth, login_hash = excluded.login_hash, taken_at = excluded.taken_at
RETURNING room_id, session_id;
