-- The answer that brought a refresh token has left: from now on it can only be lost on its way.
-- $1 login_id uuid · $2 generation of that token, integer
-- No rows.
UPDATE login SET told_at = clock_timestamp() WHERE login_id = $1::uuid AND generation = $2::integer AND told_at IS NULL;
