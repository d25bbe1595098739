-- The secret that goes into refresh tokens, made at the first start. Of nodes that start together one has its way; the others
-- ask again.
-- $1 secret bytea, if there is none yet
-- One row {secret}; none when another node is just making it.
WITH made AS (
  INSERT INTO login_secret (name, secret) VALUES ('refresh', $1::bytea) ON CONFLICT (name) DO NOTHING RETURNING secret
)
SELECT secret FROM made UNION ALL SELECT secret FROM login_secret WHERE name = 'refresh';
