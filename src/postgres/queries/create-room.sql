-- Enter a new room, owned by its creator.
-- $1 room_id text · $2 name text · $3 options as JSON text · $4 owner incarnation uuid
-- One row {epoch} (next_epoch, migrations/0003); no row when the id is in use, or when the creator is down, leaving or
-- without a lease.
WITH former AS (
  SELECT room_id FROM room WHERE room_id = $1 AND disposed_at IS NOT NULL
), checkpoints AS (
  -- A last checkpoint for which the end of the former room had to wait outlived it; here it can be seen.
  DELETE FROM checkpoint WHERE room_id IN (SELECT room_id FROM former)
), seats AS (
  DELETE FROM seat WHERE room_id IN (SELECT room_id FROM former)
)
INSERT INTO room (room_id, name, options, owner, owner_node, epoch, created_at, claimed_at)
SELECT $1, $2, $3, me.incarnation, me.node_id, next_epoch(0), clock_timestamp(), clock_timestamp()
  FROM node me
 WHERE me.incarnation = $4::uuid AND me.state = 'up' AND me.lease_until > clock_timestamp()
ON CONFLICT (room_id) DO UPDATE
   SET name = excluded.name, options = excluded.options, owner = excluded.owner, owner_node = excluded.owner_node,
       epoch = next_epoch(room.epoch), players = 0, class_version = 0, failed_opens = 0, retry_at = NULL, created_at = excluded.created_at,
       claimed_at = excluded.claimed_at, disposed_at = NULL, quarantined_at = NULL, quarantine_reason = NULL
 WHERE room.disposed_at IS NOT NULL
RETURNING epoch::double precision AS epoch;
