-- Whether logins have ended, or their users are suspended.
-- $1 login_id uuid[] · $2 user_id text[], in the same order
-- A row {login_id, user_id, is_ended, suspended_ms, reason} for each, in any order; suspended_ms as in read-revocations.
SELECT i.login_id::text AS login_id, i.user_id, l.ended_at IS NOT NULL AS is_ended,
       CASE WHEN s.until IS NULL THEN 0 -- least() passes over a null
            ELSE extract(epoch FROM least(s.until, clock_timestamp() + interval '1 year') - clock_timestamp())::double precision * 1000
        END AS suspended_ms,
       s.reason
  FROM unnest($1::uuid[], $2::text[]) AS i (login_id, user_id)
  LEFT JOIN login l ON l.login_id = i.login_id
  LEFT JOIN suspension s ON s.user_id = i.user_id AND s.until > clock_timestamp();
