-- Let nothing count any more that a key has signed. Never the newest one: rotate first.
-- $1 kid text
-- One row {kid}; none when there is no such key, or no newer one that signs already.
UPDATE signing_key k SET retires_at = clock_timestamp()
 WHERE kid = $1 AND (retires_at IS NULL OR retires_at > clock_timestamp())
   AND EXISTS (SELECT 1 FROM signing_key n WHERE n.number > k.number AND n.signs_at <= clock_timestamp()
                                             AND (n.retires_at IS NULL OR n.retires_at > clock_timestamp()))
RETURNING kid;
