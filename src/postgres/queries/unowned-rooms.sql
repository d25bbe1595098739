-- The rooms that nobody who counts owns, those with players first.
-- $1 at most so many, integer
-- Rows {room_id}.
SELECT r.room_id
  FROM room r
 WHERE r.disposed_at IS NULL AND r.quarantined_at IS NULL
   AND (r.owner IS NULL OR r.owner NOT IN (SELECT incarnation FROM node WHERE state <> 'down'))
 ORDER BY r.players DESC, r.room_id
 LIMIT $1::integer;
