-- Who owns rooms.
-- $1 room_ids text[]
-- Rows {room_id, epoch, owner, owned boolean, quarantined boolean}: `owned` is false when there is no owner that counts; no
-- row for a room that there is not, or that has ended.
SELECT r.room_id, r.epoch::double precision AS epoch, r.owner,
       EXISTS (SELECT 1 FROM node n WHERE n.incarnation = r.owner AND n.state <> 'down') AS owned,
       r.quarantined_at IS NOT NULL AS quarantined
  FROM room r
 WHERE r.room_id = ANY ($1::text[]) AND r.disposed_at IS NULL;
