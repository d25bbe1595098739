-- Let a user who is suspended play again.
-- $1 user_id text
-- One row {user_id}; none when they were not suspended.
UPDATE suspension SET until = clock_timestamp(), changed_at = clock_timestamp()
 WHERE user_id = $1 AND until > clock_timestamp()
RETURNING user_id;
