-- Enter the first key, unless there was one. Of nodes that start together one has its way.
-- $1 kid text · $2 public_key JSON text · $3 private_key JSON text
-- No rows.
INSERT INTO signing_key (number, kid, public_key, private_key, signs_at)
SELECT 1, $1, $2, $3, clock_timestamp() WHERE NOT EXISTS (SELECT 1 FROM signing_key)
ON CONFLICT (number) DO NOTHING;
