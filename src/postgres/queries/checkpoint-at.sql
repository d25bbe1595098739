-- What a room can be taken back to: its newest checkpoint that had been saved at a moment.
-- $1 room_id text · $2 the moment in ms since 1970, double precision
-- One row {ended, quarantine_reason, is_ahead, oldest_at, seq, snapshot, base, saved_at}: is_ahead tells that the moment is
-- still to come; seq and what follows are null when nothing is as old as that, oldest_at (ms since 1970) when nothing is
-- saved at all; `base` is the snapshot that it stands on, or null. No row when there is no such room.
SELECT r.disposed_at IS NOT NULL AS ended,
       CASE WHEN r.quarantined_at IS NOT NULL THEN coalesce(r.quarantine_reason, '') END AS quarantine_reason,
       to_timestamp($2::double precision / 1000) > clock_timestamp() AS is_ahead,
       (SELECT floor(extract(epoch FROM min(o.saved_at)) * 1000)::double precision
          FROM checkpoint o WHERE o.room_id = r.room_id) AS oldest_at,
       c.seq::integer AS seq, c.snapshot, b.snapshot AS base,
       floor(extract(epoch FROM c.saved_at) * 1000)::double precision AS saved_at
  FROM room r
  LEFT JOIN LATERAL (
    -- By whole ms: a time that was read off a list must find what it stands for.
    SELECT seq, snapshot, base_seq, saved_at FROM checkpoint
     WHERE room_id = r.room_id AND date_trunc('milliseconds', saved_at) <= to_timestamp($2::double precision / 1000)
     ORDER BY seq DESC LIMIT 1
  ) c ON true
  LEFT JOIN checkpoint b ON b.room_id = r.room_id AND b.seq = c.base_seq
 WHERE r.room_id = $1;
