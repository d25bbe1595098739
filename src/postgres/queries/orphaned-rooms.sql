-- The rooms that this incarnation owns on paper but does not hold: the answer to a claim was lost on the way.
-- $1 owner incarnation uuid · $2 the rooms it does hold, text[]
-- Rows {room_id}.
SELECT room_id FROM room
 WHERE owner = $1::uuid AND disposed_at IS NULL AND quarantined_at IS NULL AND room_id <> ALL ($2::text[]);
