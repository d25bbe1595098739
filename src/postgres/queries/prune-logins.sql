-- Delete what nobody will ask for again: logins, suspensions, keys and assertions that have been over for a day. Any node may
-- run it at any time.
-- No rows.
WITH logins AS (
  DELETE FROM login WHERE login_id IN (
    SELECT login_id FROM login WHERE expires_at < clock_timestamp() - interval '1 day' LIMIT 10000)
), suspensions AS (
  DELETE FROM suspension WHERE until < clock_timestamp() - interval '1 day' AND changed_at < clock_timestamp() - interval '1 day'
), keys AS (
  DELETE FROM signing_key WHERE retires_at < clock_timestamp() - interval '1 day'
)
DELETE FROM used_assertion WHERE until < clock_timestamp() - interval '1 day';
