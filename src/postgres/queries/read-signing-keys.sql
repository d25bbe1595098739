-- The keys by which access tokens are known now, the newest first.
-- A row {kid, public_key, private_key, may_sign}: of those that may, the first signs.
SELECT kid, public_key, private_key, signs_at <= clock_timestamp() AS may_sign
  FROM signing_key WHERE retires_at IS NULL OR retires_at > clock_timestamp()
 ORDER BY number DESC;
