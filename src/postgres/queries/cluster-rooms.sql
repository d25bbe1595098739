-- Every room with its owner and its newest checkpoint.
-- $1 at most so many, integer
-- Rows {room_id, name, owner_node, owned, epoch, players, seats, seq, age_ms, bytes}, the fullest first.
SELECT r.room_id, r.name, r.owner_node,
       EXISTS (SELECT 1 FROM node n WHERE n.incarnation = r.owner AND n.state <> 'down') AS owned,
       r.epoch::double precision AS epoch, r.players,
       (SELECT count(*) FROM seat s WHERE s.room_id = r.room_id)::integer AS seats,
       c.seq::integer AS seq, c.bytes,
       (extract(epoch FROM clock_timestamp() - c.saved_at) * 1000)::double precision AS age_ms
  FROM room r
  LEFT JOIN LATERAL (
    SELECT seq, bytes, saved_at FROM checkpoint WHERE room_id = r.room_id ORDER BY seq DESC LIMIT 1
  ) c ON true
 WHERE r.disposed_at IS NULL
 ORDER BY r.players DESC, r.room_id
 LIMIT $1::integer;
