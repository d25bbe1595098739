-- What rooms need to open again: the newest checkpoint and the seats of each.
-- $1 room_ids text[]
-- A row a room {room_id, seq, snapshot, age_ms, seats}; seq, snapshot and age_ms are null when it was never saved.
SELECT r.room_id, c.seq::integer AS seq, c.snapshot,
       (extract(epoch FROM clock_timestamp() - c.saved_at) * 1000)::double precision AS age_ms,
       coalesce((SELECT json_agg(json_build_object('sessionId', s.session_id, 'tokenHash', encode(s.token_hash, 'hex'),
                                                   'options', s.options, 'auth', s.auth))
                   FROM seat s WHERE s.room_id = r.room_id), '[]'::json) AS seats
  FROM room r
  LEFT JOIN LATERAL (
    SELECT seq, snapshot, saved_at FROM checkpoint WHERE room_id = r.room_id ORDER BY seq DESC LIMIT 1
  ) c ON true
 WHERE r.room_id = ANY ($1::text[]);
