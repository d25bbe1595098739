-- Open a login, unless its user is suspended.
-- $1 login_id uuid · $2 user_id text · $3 is_guest boolean · $4 claims as JSON text · $5 hash of its first refresh token, bytea
-- $6 how long it lasts without being refreshed, in ms, bigint
-- One row {is_open, suspended_ms, reason}: `suspended_ms` is what is left of a suspension (at most a year is told), null if none.
WITH suspended AS (
  SELECT until, reason FROM suspension WHERE user_id = $2 AND until > clock_timestamp()
), opened AS (
  INSERT INTO login (login_id, user_id, is_guest, claims, token_hash, opened_at, refreshed_at, expires_at)
  SELECT $1::uuid, $2, $3::boolean, $4, $5::bytea, clock_timestamp(), clock_timestamp(),
         clock_timestamp() + $6::bigint * interval '1 ms'
   WHERE NOT EXISTS (SELECT 1 FROM suspended)
  RETURNING login_id
)
SELECT EXISTS (SELECT 1 FROM opened) AS is_open,
       (SELECT extract(epoch FROM least(until, clock_timestamp() + interval '1 year') - clock_timestamp())::double precision * 1000
          FROM suspended) AS suspended_ms,
       (SELECT reason FROM suspended) AS reason;
