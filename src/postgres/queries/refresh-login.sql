-- Exchange a refresh token for the next one, each once. Whoever brings a token that was exchanged before ends the login, but
-- for the last one as long as its answer may have been lost: that is answered the same again.
-- $1 login_id uuid · $2 generation of the token, integer · $3 its hash, bytea · $4 hash of the next one, bytea
-- $5 the salt that went into the next one, bytea · $6 how long an answer may have been lost, in ms, bigint
-- $7 how long the login then lasts, in ms, bigint
-- No row: there is no such login. One row {verdict, user_id, is_guest, claims, salt, suspended_ms, reason}, with verdict
--   turned     the next token counts now · again      it counted already: `salt` is the one that went into it
--   reused     the login has ended now, because a token came twice · ended      it had ended
--   expired · suspended (nothing changed) · unknown    never handed out, as far as this database knows; nothing changed
WITH found AS (
  SELECT l.*, clock_timestamp() AS now FROM login l WHERE login_id = $1::uuid FOR UPDATE
), suspended AS (
  SELECT s.until, s.reason FROM suspension s JOIN found f ON f.user_id = s.user_id WHERE s.until > f.now
), judged AS (
  SELECT f.*, CASE
           WHEN f.ended_at IS NOT NULL THEN 'ended'
           WHEN f.expires_at <= f.now THEN 'expired'
           WHEN f.generation < $2::integer THEN 'unknown'
           WHEN f.generation = $2::integer AND f.token_hash <> $3::bytea THEN 'unknown'
           WHEN EXISTS (SELECT 1 FROM suspended) THEN 'suspended'
           WHEN f.generation = $2::integer THEN 'turned'
           WHEN f.generation = $2::integer + 1 AND f.previous_hash = $3::bytea
                AND (f.told_at IS NULL OR f.told_at > f.now - $6::bigint * interval '1 ms') THEN 'again'
           ELSE 'reused'
         END AS verdict
    FROM found f
), turned AS (
  UPDATE login l
     SET generation = l.generation + 1, previous_hash = l.token_hash, token_hash = $4::bytea, salt = $5::bytea, told_at = NULL,
         refreshed_at = j.now, expires_at = j.now + $7::bigint * interval '1 ms'
    FROM judged j WHERE l.login_id = j.login_id AND j.verdict = 'turned'
), ended AS (
  UPDATE login l SET ended_at = j.now, end_reason = 'reused'
    FROM judged j WHERE l.login_id = j.login_id AND j.verdict = 'reused'
)
SELECT verdict, user_id, is_guest, claims, salt,
       (SELECT extract(epoch FROM least(until, j.now + interval '1 year') - j.now)::double precision * 1000 FROM suspended)
         AS suspended_ms,
       (SELECT reason FROM suspended) AS reason
  FROM judged j;
