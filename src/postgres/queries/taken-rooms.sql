-- Which of the rooms that an incarnation holds are not its own any more, or not at that epoch.
-- $1 owner incarnation uuid · $2 room_id text[] · $3 epoch bigint[]
-- Rows {room_id, epoch}.
SELECT held.room_id, held.epoch::double precision AS epoch
  FROM unnest($2::text[], $3::bigint[]) AS held (room_id, epoch)
 WHERE NOT EXISTS (SELECT 1 FROM room r
                    WHERE r.room_id = held.room_id AND r.epoch = held.epoch AND r.owner = $1::uuid AND r.disposed_at IS NULL);
