-- Mark an incarnation down for good. Its rooms may be claimed from then on.
-- $1 incarnation uuid · $2 reason text · $3 the node that says so, uuid · $4 only when its lease has lapsed, boolean
-- $5 not after this time, in ms since 1970, double precision, or null: the statement may have been held up on its way
-- One row {node_id, silent_ms, rooms} when this call did it; no row when it was down already, when its lease has not
-- lapsed although that was asked for, when it is too late, or when the node that says so is itself down or without a lease.
WITH marked AS (
  UPDATE node
     SET state = 'down', down_at = clock_timestamp(), down_reason = $2
   WHERE incarnation = $1::uuid AND state <> 'down'
     -- Renewed in the future: the clock was set back since, and the lease would seem to last so much longer.
     AND (NOT $4::boolean OR lease_until < clock_timestamp() OR renewed_at > clock_timestamp() + interval '1 s')
     -- More than the longest lease before that, the clock was set back since: it may be too late all the same.
     AND ($5::double precision IS NULL
          OR extract(epoch FROM clock_timestamp()) * 1000 BETWEEN $5::double precision - 60000 AND $5::double precision)
     AND EXISTS (SELECT 1 FROM node judge
                  WHERE judge.incarnation = $3::uuid AND judge.state <> 'down' AND judge.lease_until > clock_timestamp())
  RETURNING incarnation, node_id, renewed_at
)
SELECT node_id,
       (extract(epoch FROM clock_timestamp() - renewed_at) * 1000)::double precision AS silent_ms,
       (SELECT count(*) FROM room WHERE owner = marked.incarnation AND disposed_at IS NULL)::integer AS rooms,
       nextval('view_version')::integer AS view_version,
       pg_notify(current_schema() || '_view', 'node:down')
  FROM marked;
