-- Write seats that may be missing, each only if the writer still owns the room at that epoch. Of one that is there nothing
-- changes but its tokens, where the writer knows of a later change.
-- $1 room_id text[] · $2 epoch bigint[] · $3 session_id text[] · $4 token_hash bytea[] · $5 options as JSON text[]
-- $6 auth as JSON text[] · $7 owner incarnation uuid · $8 login_hash bytea[] · $9 previous_hash bytea[] · $10 is_heard boolean[]
-- $11 token_no integer[]; all but the owner as in change-seat-tokens.sql and save-seats.sql
-- A row {room_id, session_id} for each one that was missing, or behind.
WITH input AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::text[], $6::text[], $8::bytea[], $9::bytea[],
                       $10::boolean[], $11::integer[])
             AS t (room_id, epoch, session_id, token_hash, options, auth, login_hash, previous_hash, is_heard, token_no)
), owned AS (
  SELECT room_id, epoch FROM room
   WHERE room_id = ANY ($1::text[]) AND owner = $7::uuid AND disposed_at IS NULL
   ORDER BY room_id FOR SHARE
)
INSERT INTO seat AS s (room_id, session_id, token_hash, previous_hash, is_heard, token_no, options, auth, login_hash, taken_at)
SELECT i.room_id, i.session_id, i.token_hash, i.previous_hash, i.is_heard, i.token_no, i.options, i.auth, i.login_hash,
       clock_timestamp()
  FROM input i JOIN owned o ON o.room_id = i.room_id AND o.epoch = i.epoch
ON CONFLICT (room_id, session_id) DO UPDATE
   SET token_hash = excluded.token_hash, previous_hash = excluded.previous_hash, is_heard = excluded.is_heard,
       token_no = excluded.token_no
 WHERE s.token_no < excluded.token_no
RETURNING room_id, session_id;
