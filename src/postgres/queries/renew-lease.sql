-- Renew this incarnation's lease, unless it was marked down, and read the nodes as they are.
-- $1 incarnation uuid · $2 lease_ms integer
-- A row a node that is not down {…, lease_left_ms, silent_ms, clock_ms, renewed boolean, view_version}: clock_ms is Postgres's
-- clock, in ms since 1970; `renewed` tells, the same in every row, whether this incarnation still counts. No row at all when it does not and nobody else lives.
WITH renewal AS (
  UPDATE node
     SET lease_until = clock_timestamp() + $2::integer * interval '1 ms', renewed_at = clock_timestamp()
   WHERE incarnation = $1::uuid AND state <> 'down'
  RETURNING incarnation
)
SELECT n.incarnation, n.node_id, n.process_id, n.host, n.public_port, n.internal_port, n.management_port, n.state, n.roles,
       (extract(epoch FROM n.lease_until - clock_timestamp()) * 1000)::double precision AS lease_left_ms,
       (extract(epoch FROM clock_timestamp() - n.renewed_at) * 1000)::double precision AS silent_ms,
       (extract(epoch FROM clock_timestamp()) * 1000)::double precision AS clock_ms,
       EXISTS (SELECT 1 FROM renewal) AS renewed,
       (SELECT last_value FROM view_version)::integer AS view_version
  FROM node n
 WHERE n.state <> 'down'
 ORDER BY n.node_id, n.started_at;
