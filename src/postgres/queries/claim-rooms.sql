-- Take rooms that nobody who counts owns, each at its next epoch (next_epoch, migrations/0003).
-- $1 room_ids text[] · $2 the claimant's incarnation uuid · $3 names of the rooms that it can open, text[] · $4 up to which
-- version of their class, integer[] · $5 whether to take also what is the claimant's own on paper, boolean: rooms whose claim
-- was answered, but not heard
-- A row {room_id, name, options, epoch, from_node, from_epoch, released} for each room taken; `released` tells that its
-- former owner gave it up on purpose. Of any number of claimants exactly one
-- gets a room: the second waits for the row's lock and then finds an owner that is not the one it saw. What was saved is
-- read by a statement of its own (read-rooms.sql), after this one: here it would be read as of this statement's
-- beginning, before a last checkpoint of the former owner for which this statement may have waited.
WITH me AS (
  SELECT incarnation, node_id FROM node
   WHERE incarnation = $2::uuid AND state <> 'down' AND lease_until > clock_timestamp()
), seen AS MATERIALIZED (
  -- The owners as of this statement's beginning, as are the nodes below. One who took the room while this statement
  -- waited may be a node it has never heard of, and lives.
  SELECT room_id, owner FROM room WHERE room_id = ANY ($1::text[])
), before AS (
  -- In one order for everyone, so that two batches never wait for each other in a circle.
  SELECT room_id, owner, owner_node, epoch, failed_opens FROM room
   WHERE room_id = ANY ($1::text[]) ORDER BY room_id FOR UPDATE
)
UPDATE room r
   SET owner = me.incarnation, owner_node = me.node_id, epoch = next_epoch(r.epoch), claimed_at = clock_timestamp(),
       retry_at = NULL
  FROM before b, seen s, me
 WHERE r.room_id = b.room_id AND r.room_id = s.room_id AND r.owner IS NOT DISTINCT FROM s.owner
   AND EXISTS (SELECT 1 FROM unnest($3::text[], $4::integer[]) AS kind (name, version)
                WHERE kind.name = r.name AND kind.version >= r.class_version)
   AND r.disposed_at IS NULL AND r.quarantined_at IS NULL
   -- Nobody is kept waiting for a minute, unless the clock was set back since.
   AND (r.retry_at IS NULL OR r.retry_at NOT BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 min')
   AND (r.owner IS NULL
        OR ($5::boolean AND r.owner = me.incarnation)
        OR NOT EXISTS (SELECT 1 FROM node n WHERE n.incarnation = r.owner AND n.state <> 'down'))
RETURNING r.room_id, r.name, r.options, r.epoch::double precision AS epoch, b.owner_node AS from_node,
          b.epoch::double precision AS from_epoch, b.owner IS NULL AND b.failed_opens = 0 AS released;
