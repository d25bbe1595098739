-- Use an assertion of the game's backend, once.
-- $1 hash of its id, bytea · $2 for how long it would count, in ms, bigint
-- One row {is_first} when it was not used before; no row when it was.
INSERT INTO used_assertion (id_hash, until) VALUES ($1::bytea, clock_timestamp() + $2::bigint * interval '1 ms')
ON CONFLICT (id_hash) DO NOTHING RETURNING true AS is_first;
