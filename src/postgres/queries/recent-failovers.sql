-- The newest restorations of rooms, each with how its players came back.
-- $1 at most so many, integer
-- Rows {at, node_id, room_id, epoch, facts, settled}: the facts of room:restored and, once known, of room:settled.
SELECT (extract(epoch FROM e.at) * 1000)::double precision AS at, e.node_id, e.room_id, e.epoch::double precision AS epoch, e.facts,
       (SELECT s.facts FROM event s
         WHERE s.name = 'room:settled' AND s.room_id = e.room_id AND s.epoch = e.epoch AND s.id > e.id
         ORDER BY s.id DESC LIMIT 1) AS settled
  FROM event e
 WHERE e.name = 'room:restored'
 ORDER BY e.id DESC
 LIMIT $1::integer;
