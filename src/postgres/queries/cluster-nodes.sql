-- Every node's newest incarnation: all that are not down, and of the others those that went down in the last minute.
-- No parameters. Rows in the order of the names.
SELECT DISTINCT ON (n.node_id)
       n.node_id, n.incarnation, n.pid, n.host, n.public_port, n.internal_port, n.management_port, n.state, n.roles,
       (extract(epoch FROM n.lease_until - clock_timestamp()) * 1000)::double precision AS lease_left_ms,
       (extract(epoch FROM n.started_at) * 1000)::double precision AS started_at
  FROM node n
 WHERE n.state <> 'down' OR n.down_at > clock_timestamp() - interval '1 minute'
 ORDER BY n.node_id, n.started_at DESC;
