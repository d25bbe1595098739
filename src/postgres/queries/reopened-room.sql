-- What became of a room that was given a checkpoint to open from (roll-back-room.sql).
-- $1 room_id text · $2 seq of that checkpoint, bigint
-- One row {node_id, unreadable_reason, goes_on}: the node that claimed it last; why it could not be opened from there, or
-- null; whether more was saved since, which a room does as soon as it is open. No row when it has ended.
SELECT r.owner_node AS node_id,
       (SELECT c.unreadable_reason FROM checkpoint c WHERE c.room_id = r.room_id AND c.seq = $2::bigint) AS unreadable_reason,
       EXISTS (SELECT 1 FROM checkpoint n WHERE n.room_id = r.room_id AND n.seq > $2::bigint) AS goes_on
  FROM room r WHERE r.room_id = $1 AND r.disposed_at IS NULL;
