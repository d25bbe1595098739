-- What rooms need to open again: the newest checkpoint and the seats of each.
-- $1 room_ids text[]
-- A row a room {room_id, seq, epoch, snapshot, base, age_ms, seats}; seq, epoch (at which it was saved), snapshot and age_ms are
-- null when it was never saved,
-- and `base` where the snapshot stands by itself.
SELECT r.room_id, c.seq::integer AS seq, c.epoch::double precision AS epoch, c.snapshot, b.snapshot AS base,
       (extract(epoch FROM clock_timestamp() - c.saved_at) * 1000)::double precision AS age_ms,
       coalesce((SELECT json_agg(json_build_object('sessionId', s.session_id, 'tokenHash', encode(s.token_hash, 'hex'),
                                                   'previousHash', encode(s.previous_hash, 'hex'),
                                                   'isHeard', s.is_heard, 'tokenNo', s.token_no,
                                                   'loginHash', encode(s.login_hash, 'hex'),
                                                   'options', s.options, 'auth', s.auth))
                   FROM seat s WHERE s.room_id = r.room_id), '[]'::json) AS seats
  FROM room r
  LEFT JOIN LATERAL (
    SELECT seq, epoch, snapshot, saved_at, base_seq FROM checkpoint WHERE room_id = r.room_id ORDER BY seq DESC LIMIT 1
  ) c ON true
  LEFT JOIN checkpoint b ON b.room_id = r.room_id AND b.seq = c.base_seq
 WHERE r.room_id = ANY ($1::text[]);
