-- An owner could not open a room: count it and give the room up for a while that grows with each attempt (1, 5, 25, 30 s),
-- or lock it away with the reason at the last one.
-- $1 room_id text · $2 epoch bigint · $3 owner incarnation uuid · $4 attempts allowed integer · $5 reason text
-- One row {quarantined boolean}; no row when a newer activation exists (STALE_EPOCH).
UPDATE room
   SET owner = NULL, failed_opens = failed_opens + 1,
       retry_at = clock_timestamp() + least(power(5, failed_opens), 30) * interval '1 s',
       quarantined_at = CASE WHEN failed_opens + 1 >= $4::integer THEN clock_timestamp() END,
       quarantine_reason = CASE WHEN failed_opens + 1 >= $4::integer THEN $5 END
 WHERE room_id = $1 AND epoch = $2::bigint AND owner = $3::uuid AND disposed_at IS NULL
RETURNING quarantined_at IS NOT NULL AS quarantined;
