-- Enter a new key. It signs when all nodes know it; what the others have signed counts until it has expired.
-- $1 kid text · $2 public_key JSON text · $3 private_key JSON text · $4 in how many ms it begins to sign, bigint
-- $5 how long after that the others count, in ms, bigint
-- One row {signs_at, retires_at}. Fails with unique_violation when another rotation came first.
WITH times AS (
  SELECT clock_timestamp() + $4::bigint * interval '1 ms' AS signs_at,
         clock_timestamp() + ($4::bigint + $5::bigint) * interval '1 ms' AS retires_at
), retired AS (
  UPDATE signing_key SET retires_at = times.retires_at FROM times WHERE signing_key.retires_at IS NULL
), entered AS (
  INSERT INTO signing_key (number, kid, public_key, private_key, signs_at)
  SELECT coalesce(max(number), 0) + 1, $1, $2, $3, (SELECT signs_at FROM times) FROM signing_key
)
SELECT signs_at, retires_at FROM times;
