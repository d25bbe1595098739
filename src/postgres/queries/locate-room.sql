-- Who owns a room.
-- $1 room_id text
-- One row {epoch, owner, owned boolean, quarantined boolean}: `owned` is false when there is no owner that counts; no row
-- when there is no such room, or it has ended.
SELECT r.epoch::double precision AS epoch, r.owner,
       EXISTS (SELECT 1 FROM node n WHERE n.incarnation = r.owner AND n.state <> 'down') AS owned,
       r.quarantined_at IS NOT NULL AS quarantined
  FROM room r
 WHERE r.room_id = $1 AND r.disposed_at IS NULL;
