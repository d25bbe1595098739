-- Append to the event log.
-- $1 at as ms since 1970, double precision[] · $2 name text[] · $3 room_id text[] · $4 epoch bigint[] · $5 facts as JSON text[]
-- $6 node_id text
-- No rows.
INSERT INTO event (at, name, node_id, room_id, epoch, facts)
SELECT to_timestamp(t.at / 1000), t.name, $6, t.room_id, t.epoch, t.facts::json
  FROM unnest($1::double precision[], $2::text[], $3::text[], $4::bigint[], $5::text[])
    AS t (at, name, room_id, epoch, facts);
