-- Let a user play no more until then. What was said of them before is replaced.
-- $1 user_id text · $2 for how long, in ms, bigint; null for good · $3 reason text, which the user is told
-- One row {until}, null for good.
INSERT INTO suspension AS s (user_id, until, reason, changed_at)
VALUES ($1, coalesce(clock_timestamp() + $2::bigint * interval '1 ms', 'infinity'), $3, clock_timestamp())
ON CONFLICT (user_id) DO UPDATE SET until = excluded.until, reason = excluded.reason, changed_at = excluded.changed_at
RETURNING CASE WHEN s.until < 'infinity' THEN s.until END AS until;
