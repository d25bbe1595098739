-- Delete what nobody will ask for again: rooms that ended a day ago, nodes that went down a day ago, events past the
-- number kept. Any node may run it at any time; it is safe to run twice.
-- $1 events kept, bigint
-- No rows.
WITH rooms AS (
  DELETE FROM room WHERE disposed_at < clock_timestamp() - interval '1 day'
), nodes AS (
  DELETE FROM node WHERE state = 'down' AND down_at < clock_timestamp() - interval '1 day'
)
DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - $1::bigint;
