-- The rooms that nobody who counts owns, those with players first.
-- $1 at most so many, integer · $2 names of the rooms that the asker can open, text[] · $3 up to which version of their class,
-- integer[]
-- Rows {room_id}.
SELECT r.room_id
  FROM room r
  JOIN unnest($2::text[], $3::integer[]) AS kind (name, version) ON kind.name = r.name AND kind.version >= r.class_version
 WHERE r.disposed_at IS NULL AND r.quarantined_at IS NULL
   -- Nobody is kept waiting for a minute, unless the clock was set back since.
   AND (r.retry_at IS NULL OR r.retry_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 min')
   AND (r.owner IS NULL OR r.owner NOT IN (SELECT incarnation FROM node WHERE state <> 'down'))
 ORDER BY r.players DESC, r.room_id
 LIMIT $1::integer;
