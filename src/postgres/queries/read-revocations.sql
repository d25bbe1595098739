-- What was revoked, or allowed again, of late.
-- $1 how far back, in ms, bigint
-- A row {login_id, user_id, suspended_ms, reason} for each login that ended (suspended_ms null) and each suspension that changed
-- (login_id null; suspended_ms: what is left of it, at most a year, 0 when it is over).
SELECT login_id::text AS login_id, user_id, NULL::double precision AS suspended_ms, end_reason AS reason
  FROM login WHERE ended_at > clock_timestamp() - $1::bigint * interval '1 ms'
UNION ALL
SELECT NULL, user_id,
       greatest(0, extract(epoch FROM least(until, clock_timestamp() + interval '1 year') - clock_timestamp())::double precision * 1000),
       reason
  FROM suspension WHERE changed_at > clock_timestamp() - $1::bigint * interval '1 ms';
