-- Delete what nobody will ask for again: rooms that ended a day ago, nodes that went down a day ago, events past the
-- number kept, and of each room's history what is older than its time. Any node may run it at any time; it is safe to
-- run twice, and at the same time.
-- $1 events kept, bigint · $2 how long whole checkpoints stay in the history, in ms, bigint · $3 generations kept, integer
-- No rows.
WITH rooms AS (
  DELETE FROM room WHERE disposed_at < clock_timestamp() - interval '1 day' RETURNING room_id
), ended AS (
  -- A last one that came while the room ended.
  DELETE FROM checkpoint c USING rooms r WHERE c.room_id = r.room_id
), nodes AS (
  DELETE FROM node WHERE state = 'down' AND down_at < clock_timestamp() - interval '1 day'
), history AS (
  -- Never one of the last generations, nor what one of those stands on. What could not be read stays a week.
  DELETE FROM checkpoint c
   WHERE c.kept AND c.saved_at < clock_timestamp() - $2::bigint * interval '1 ms'
     AND (SELECT count(*) FROM (SELECT 1 FROM checkpoint n WHERE n.room_id = c.room_id AND n.seq > c.seq
                                 LIMIT $3::integer) newer) = $3::integer
     AND NOT EXISTS (SELECT 1 FROM checkpoint d WHERE d.room_id = c.room_id AND d.base_seq = c.seq)
     AND (c.unreadable_reason IS NULL OR c.saved_at < clock_timestamp() - interval '7 days')
), unreadable AS (
  DELETE FROM checkpoint c WHERE c.unreadable_reason IS NOT NULL AND NOT c.kept
                             AND c.saved_at < clock_timestamp() - interval '7 days'
)
DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - $1::bigint;
