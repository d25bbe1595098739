-- End a login, or with it all those of its user, if it is one still: whoever has what is left of one that is over ends no other.
-- $1 login_id uuid, or null · $2 user_id text, or null: that of the login · $3 everywhere, boolean · $4 reason text
-- A row {user_id, login_id} for each one ended; none when it had ended.
WITH who AS (
  SELECT user_id FROM login WHERE login_id = $1::uuid AND ended_at IS NULL AND expires_at > clock_timestamp()
   UNION SELECT $2::text WHERE $2::text IS NOT NULL
)
UPDATE login SET ended_at = clock_timestamp(), end_reason = $4
 WHERE ended_at IS NULL AND (login_id = $1::uuid OR ($3::boolean AND user_id IN (SELECT user_id FROM who)))
RETURNING user_id, login_id::text AS login_id;
